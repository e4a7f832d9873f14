"""A deterministic simulation of the meter: one seed is one history.

    python -m tests.simulation --seed 123 --store sqlite --steps 2000 --print

runs a history again and prints it, call by call. The real service runs over a real store and the
fake driver, on a clock of its own. People top up, eject, extend, edit and prompt; the provider is
slow, fails, refuses and gets stuck; the wall clock is set; the disk fills; gateways are killed
between any two of their port calls, started again, reloaded; replies and events get lost or come
twice; operations are held up while others pass them. After every step the invariants are checked
against a ledger of all commits; at the end everything heals, and must come to rest.

- `scheduler`: tasks that are interrupted at their port calls; `interposed`: the ports that do so
- `world`: gateways, store, driver and time; `watched_driver`: the fake driver that reports
- `rules`: every action and its weight; `requests`, `outbox`: people, and receivers of events
- `invariants`, `receipts`: the promises; `runner`: one history, many, one fault at each call

`make soak` runs 100,000 steps on memory and on SQLite, and 10,000 on a simulated DynamoDB.
"""
