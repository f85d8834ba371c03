"""A function whose dependencies come from a pack in a layer."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct
from lambdapack_export import Dependencies


class MonthsStack(Stack):
    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        dependencies = Dependencies(self, "Dependencies")
        function = lambda_.Function(
            self,
            "Months",
            code=lambda_.Code.from_asset(str(Path(__file__).parent / "src")),
            handler="app.handler",
            memory_size=1769,
            timeout=Duration.seconds(10),
            **dependencies.settings,
        )
        alias = dependencies.attach(function)
        CfnOutput(self, "Function", value=alias.function_arn, description="What is to be invoked")


app = App()
MonthsStack(app, "Months")
app.synth()
