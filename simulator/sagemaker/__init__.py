"""A strict SageMaker: control plane and runtime, for the calls that parkmeter makes."""
