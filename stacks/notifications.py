"""The SNS topic for notifications: journal entries and alarms.

Knows names and settings; the stack decides which functions publish.
"""

from aws_cdk import Aws, Stack, aws_iam, aws_sns, aws_sns_subscriptions
from constructs import Construct

from stacks.iam import Grants
from stacks.iam_role import Grant
from stacks.settings import Settings


def topic_by_name(scope: Construct, settings: Settings) -> aws_sns.ITopic:
    """Return the topic for the alarms of another stack, by its literal name."""
    stack = Stack.of(scope)
    arn = Grants(stack, settings.names).arn("sns", settings.names.notifications)
    return aws_sns.Topic.from_topic_arn(scope, "Notifications", arn)


class NotificationTopic(Construct):
    """The topic, with an e-mail subscription if `app.py` names an address."""

    def __init__(self, scope: Construct, construct_id: str, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.topic = aws_sns.Topic(
            self,
            "Topic",
            topic_name=settings.names.notifications,
            display_name="parkmeter",
            enforce_ssl=True,
        )
        # A policy of its own replaces the default one, by which the account's alarms publish.
        self.topic.add_to_resource_policy(
            aws_iam.PolicyStatement(
                principals=[aws_iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if settings.notification_email is not None:
            self.topic.add_subscription(
                aws_sns_subscriptions.EmailSubscription(settings.notification_email)
            )

    def publish(self) -> Grant:
        """Return the grant to publish messages."""
        return Grant(("sns:Publish",), (self.topic.topic_arn,))
