"""The CDK app: what parkmeter is on AWS, as templates. Nothing here runs in the cloud."""
