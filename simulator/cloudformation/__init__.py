"""A simulated CloudFormation: stack operations over the template that moto keeps."""
