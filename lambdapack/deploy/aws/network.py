"""Whether a function that is in subnets reaches S3, as the subnets' route tables say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambdapack.deploy.aws.clients import Clients
from lambdapack.deploy.aws.errors import errors_of_aws
from lambdapack.store.aws_errors import code_of

_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedAccess")
# What can lead out of a VPC for an interface that has no public address, as those of Lambda have none. An
# internet gateway cannot.
_WAYS_OUT = ("NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId", "VpcPeeringConnectionId",
             "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn")  # fmt: skip


@dataclass(frozen=True)
class DeadEnd:
    """Subnets from which nothing leads to S3.

    Attributes:
        subnets: Their ids.
        vpc: The id of their VPC.
        tables: The ids of their route tables.
        service: The endpoint that lacks, e.g. ``com.amazonaws.eu-central-1.s3``.
    """

    subnets: tuple[str, ...]
    vpc: str
    tables: tuple[str, ...]
    service: str

    def __str__(self) -> str:
        tables = ", ".join(self.tables)
        command = f"aws ec2 create-vpc-endpoint --vpc-id {self.vpc} --service-name {self.service}"
        return (
            f"{', '.join(self.subnets)} of {self.vpc}: no S3 gateway endpoint and no NAT gateway in the "
            f"route table {tables}, so that the pack cannot be fetched and a cold start will time out: "
            f"{command} --route-table-ids {' '.join(self.tables)}"
        )


def dead_ends(subnets: Sequence[str], clients: Clients) -> list[DeadEnd] | None:
    """The subnets, by VPC, from which S3 cannot be reached; ``None`` where AWS does not let one look.

    Raises:
        LambdapackError: There is no such subnet, or AWS cannot be reached.
    """
    from botocore.exceptions import ClientError  # noqa: PLC0415 - slow

    with errors_of_aws("looking at the function's subnets", action="ec2:DescribeSubnets"):
        try:
            return list(_dead_ends(subnets, clients["ec2"], clients.region))
        except ClientError as error:
            if code_of(error) in _DENIED:
                return None
            raise


def _dead_ends(subnets: Sequence[str], ec2: Any, region: str) -> Iterator[DeadEnd]:
    by_vpc: dict[str, list[str]] = {}
    for subnet in ec2.describe_subnets(SubnetIds=list(subnets))["Subnets"]:
        by_vpc.setdefault(subnet["VpcId"], []).append(subnet["SubnetId"])
    service = f"com.amazonaws.{region}.s3"
    for vpc, inside in by_vpc.items():
        named = ("service-name", service)
        endpoints = list(_pages(ec2, "describe_vpc_endpoints", "VpcEndpoints", vpc, named))
        if any(_serves_by_name(endpoint) for endpoint in endpoints):
            continue
        tables = list(_pages(ec2, "describe_route_tables", "RouteTables", vpc))
        attached = {table for endpoint in endpoints for table in endpoint.get("RouteTableIds", ())}
        closed = {
            subnet: table["RouteTableId"]
            for subnet in inside
            if (table := _table(subnet, tables)) is not None
            and table["RouteTableId"] not in attached
            and not any(_leads_out(route) for route in table.get("Routes", ()))
        }
        if closed:
            yield DeadEnd(tuple(sorted(closed)), vpc, tuple(sorted(set(closed.values()))), service)


def _pages(
    ec2: Any, operation: str, key: str, vpc: str, *filters: tuple[str, str]
) -> Iterator[Mapping[str, Any]]:
    wanted = [{"Name": name, "Values": [value]} for name, value in (("vpc-id", vpc), *filters)]
    for page in ec2.get_paginator(operation).paginate(Filters=wanted):
        yield from page[key]


def _serves_by_name(endpoint: Mapping[str, Any]) -> bool:
    """Whether S3's usual name leads to this interface endpoint from all of its VPC."""
    return endpoint.get("VpcEndpointType") == "Interface" and bool(endpoint.get("PrivateDnsEnabled"))


def _table(subnet: str, tables: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The route table of a subnet: its own, or else the VPC's main one."""
    main = None
    for table in tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet:
                return table
            if association.get("Main"):
                main = table
    return main


def _leads_out(route: Mapping[str, Any]) -> bool:
    everywhere = route.get("DestinationCidrBlock") == "0.0.0.0/0" or route.get("DestinationPrefixListId")
    if not everywhere or route.get("State") == "blackhole":
        return False
    # A virtual private gateway leads to a network of the owner's, which may have a way out.
    return str(route.get("GatewayId", "")).startswith("vgw-") or any(route.get(way) for way in _WAYS_OUT)
