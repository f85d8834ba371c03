"""What a function is given and did not make: a role of the user's own, and a network."""

from __future__ import annotations

from lambdapack.deploy.aws import naming, network, own_role
from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.models import AwsState, FunctionState
from lambdapack.model import FunctionSpec, Location
from lambdapack.progress import QUIET, Progress


def check_surroundings(
    spec: FunctionSpec, observed: AwsState, clients: Clients, progress: Progress = QUIET
) -> bool:
    """Look at the role and the network before anything is changed.

    Returns:
        Whether the role is used unseen: it is another than the function has, and IAM does not say what the
        role may do.

    Raises:
        ConfigurationError: The role lacks something without which the function would not start.
        ToolError: AWS could not be asked.
    """
    named = (spec.location, *(asset.location for asset in spec.assets))
    packs = [place for place in named if isinstance(place, Location)]
    unseen = False
    if spec.settings.role is not None:
        settings = FunctionState.intended(spec, "", spec.settings.role).settings
        needed = naming.policy(observed.account, spec.name, packs, [settings], keys=observed.keys)
        doing = f"deploying {spec.name}"
        asked = own_role.check(spec.settings.role, needed, clients, doing=doing, progress=progress)
        has = observed.function.settings.get("Role") if observed.function else None
        unseen = not asked and has != spec.settings.role
    subnets = _subnets(spec, observed)
    if packs and subnets:
        _check_network(subnets, clients, progress)
    return unseen


def _subnets(spec: FunctionSpec, observed: AwsState) -> tuple[str, ...]:
    """The subnets that the function will be in: a network that ``spec`` does not name stays."""
    if spec.settings.subnets or observed.function is None:
        return spec.settings.subnets
    return tuple(observed.function.settings.get("VpcConfig", {}).get("SubnetIds", ()))


def _check_network(subnets: tuple[str, ...], clients: Clients, progress: Progress) -> None:
    ends = network.dead_ends(subnets, clients)
    if ends is None:
        progress.note(
            "these credentials may not look at the function's network (ec2:DescribeSubnets, "
            "ec2:DescribeRouteTables, ec2:DescribeVpcEndpoints): its packs are fetched through a gateway "
            f"endpoint for com.amazonaws.{clients.region}.s3 or a NAT gateway, and need one of them"
        )
    for end in ends or ():
        progress.warn(str(end))
