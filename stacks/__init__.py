"""The CDK app: parkmeter's stacks on AWS. Nothing here runs in the cloud."""
