"""Names and documents that are written once and recognised later."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdapack.deploy.aws import naming
from lambdapack.deploy.aws.models import Account
from lambdapack.errors import ConfigurationError
from lambdapack.model import Location

IDS = st.text("0123456789abcdef", min_size=64, max_size=64)
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
PREFIXES = st.one_of(st.just(""), st.from_regex(r"[a-zA-Z0-9!_.*'() /-]{1,60}/", fullmatch=True))


@given(IDS, BUCKETS, PREFIXES)
def test_a_versions_description_tells_its_pack(pack_id: str, bucket: str, prefix: str) -> None:
    """What a published version says about its pack can be read back exactly."""
    location = Location(bucket, f"{prefix}packs/{pack_id[:2]}/{pack_id}.tar.zst", "eu-west-1")
    try:
        text = naming.describe(pack_id, location)
    except ConfigurationError as error:
        assert "too long" in error.message
        return
    assert len(text) <= 256
    assert naming.pack_of(text) == (pack_id, location)


def test_a_description_has_256_characters() -> None:
    """As long a prefix as fits is taken; one character more is refused, by its number."""
    pack_id = "0" * 64

    def describe(length: int) -> str:
        key = f"{'p' * length}/packs/00/{pack_id}.tar.zst"
        return naming.describe(pack_id, Location("bucket", key, "eu-west-1"))

    room = 256 - len(describe(0))
    assert len(describe(room)) == 256
    with pytest.raises(ConfigurationError, match="is 1 characters too long"):
        describe(room + 1)


@pytest.mark.parametrize("text", ["", "no pack", "made by hand", "pack 12 at s3://b/p in eu-west-1"])
def test_other_descriptions_name_no_pack(text: str) -> None:
    """A version that somebody else published has no pack of ours."""
    assert naming.pack_of(text) is None


def test_a_key_that_is_not_the_packs_is_refused() -> None:
    """A location must end in the pack's own name."""
    with pytest.raises(ConfigurationError, match="is not where pack"):
        naming.describe("0" * 64, Location("b", "p/other.tar.zst", "eu-west-1"))


@given(NAMES, NAMES)
def test_role_names_fit_iam_and_differ(one: str, other: str) -> None:
    """At most 64 characters, and two functions never share a role."""
    names = [naming.role_name(name, "ap-southeast-1") for name in (one, other)]
    assert all(len(name) <= 64 for name in names)
    assert (names[0] == names[1]) is (one == other)


def test_policy_is_in_the_accounts_partition() -> None:
    """ARNs in China and GovCloud begin differently."""
    account = Account("123456789012", "aws-cn", "cn-north-1")
    document = naming.policy(account, "demo", [Location("b", "k", "cn-north-1")])
    assert document["Statement"][0]["Resource"] == ["arn:aws-cn:s3:::b/k"]
    assert document["Statement"][1]["Resource"].startswith("arn:aws-cn:logs:cn-north-1:123456789012:")


def test_without_a_pack_there_is_nothing_to_read() -> None:
    """A function without a pack gets no permission on S3."""
    document = naming.policy(Account("1", "aws", "eu-west-1"), "demo", [])
    assert [item["Sid"] for item in document["Statement"]] == ["WriteItsLog"]
