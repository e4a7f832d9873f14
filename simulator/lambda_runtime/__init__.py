"""A simulated Lambda: functions in processes of their own, on the runtime client of AWS."""
