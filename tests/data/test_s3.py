"""What is S3's own: large files in parts, what users get wrong, and files that were fetched."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from data.errors import Refused
from data.store import Store, hurried, open_store, s3
from data.store.presigned import download_link, upload_link
from data.store.s3_errors import refused_request
from tests.support import seaweed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_client(s3_uri: str) -> None:
    s3._client.cache_clear()  # these tests change the environment that it reads


@pytest.fixture
def store(s3_uri: str) -> Store:
    return open_store(s3_uri)


def test_a_large_file_goes_in_parts_and_is_created_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART", 5 << 20)  # the least that S3 takes
    content = bytes(range(256)) * 45_001  # the last part is a short one
    (tmp_path / "large").write_bytes(content)
    (tmp_path / "other").write_bytes(content[1:])
    assert store.put_file("large", tmp_path / "large")
    assert store.local_path("large").read_bytes() == content == store.read("large")
    assert not store.put_file("large", tmp_path / "other")
    with monkeypatch.context() as blind:  # two that both found no object before they sent their parts
        answers = iter([None, "another"])
        blind.setattr(s3.S3Store, "_writer", lambda *_: next(answers))
        assert not store.put_file("large", tmp_path / "other")
    assert store.read("large") == content


def test_what_a_user_gets_wrong_is_said(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(uri: str, **environment: str) -> str:
        s3._client.cache_clear()
        with monkeypatch.context() as changed, pytest.raises(Refused) as refused:
            for name, value in environment.items():
                changed.setenv(name, value)
            open_store(uri).put_new("a", b"")
        assert "\n" not in str(refused.value)
        return str(refused.value)

    with pytest.raises(Refused, match="no bucket"):  # on a put, this server makes the bucket
        open_store("s3://andon-no-such-bucket/x").keys("a")
    assert "write s3://bucket/prefix" in refusal("s3://UPPER/x")
    assert "write its prefix in letters" in refusal("s3://bucket/a//b")
    assert "SignatureDoesNotMatch" in refusal(s3_uri, AWS_SECRET_ACCESS_KEY="wrong")
    assert "refuses PutObject" in refusal(s3_uri, **seaweed.READER)
    nobody = f"http://127.0.0.1:{seaweed.free_port()}"
    monkeypatch.setattr(s3, "PATIENT", s3.HURRIED._replace(tries=1))
    assert "cannot be reached" in refusal(s3_uri, AWS_ENDPOINT_URL_S3=nobody)
    assert "cannot be opened" in refusal(s3_uri, AWS_ENDPOINT_URL_S3="not an address")
    with pytest.raises(Refused, match="neither a local folder nor"):
        open_store("gs://bucket/x")


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("RequestTimeTooSkewed", 403, "Set the clock"),
        ("ExpiredToken", 400, "Set AWS_ACCESS_KEY_ID"),
        ("PermanentRedirect", 301, "region of the bucket"),
        ("SlowDown", 503, "again later"),
        ("QuotaExceeded", 400, "quota"),
        ("BadDigest", 400, "on its way"),
        ("NotImplemented", 501, "andon doctor checks"),
        ("InvalidObjectState", 403, "archived"),
        ("NoSuchBucket", 404, "Create it"),
        ("NobodyKnowsThisOne", 418, "manual of the server"),
        ("503", 503, "again later"),
        ("WithoutAKnownName", 507, "quota"),
    ],
)
def test_every_answer_of_a_server_comes_with_what_to_do(code: str, status: int, advice: str) -> None:
    response = {
        "Error": {"Code": code, "Message": "as the server says."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    message = refused_request(ClientError(response, "PutObject"), "s3://b/p")
    assert advice in message and "s3://b/p" in message and "\n" not in message and ".." not in message


def test_a_hurried_store_gives_up_within_seconds(store: Store) -> None:
    hurried_store = hurried(store)
    assert isinstance(hurried_store, s3.S3Store) and hurried_store.uri == store.uri
    config = hurried_store.client.meta.config
    assert (config.connect_timeout + config.read_timeout) * config.retries["total_max_attempts"] <= 10
    hurried_store.put_new("a", b"content")
    assert store.read("a") == b"content"


def test_the_lifecycle_removes_old_versions_and_nothing_else(s3_server: seaweed.Server) -> None:
    rules = json.loads((ROOT / "deploy" / "s3-lifecycle.json").read_text())
    client = s3_server.client()
    client.create_bucket(Bucket="versions")
    client.put_bucket_lifecycle_configuration(Bucket="versions", LifecycleConfiguration=rules)
    (rule,) = rules["Rules"]
    assert rule["Expiration"] == {"ExpiredObjectDeleteMarker": True} and "NoncurrentVersionExpiration" in rule


def test_without_credentials_it_says_which_to_set(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in seaweed.ADMIN:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "nowhere")
    s3._client.cache_clear()
    with pytest.raises(Refused, match="AWS_ACCESS_KEY_ID"):
        open_store(s3_uri).read("a")


def test_who_may_only_read_reads(store: Store, s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_new("folder/a", b"content")
    for name, value in seaweed.READER.items():
        monkeypatch.setenv(name, value)
    s3._client.cache_clear()
    reader = open_store(s3_uri)
    assert reader.keys("folder") == ["folder/a"] and reader.read("folder/a") == b"content"
    with pytest.raises(Refused, match="refuses DeleteObject"):
        reader.drop("folder/a")


def test_what_was_fetched_is_private_and_ends_with_the_process(store: Store, s3_uri: str) -> None:
    store.put_new("a/b", b"content")
    code = """
import sys
from data.store import open_store
path = open_store(sys.argv[1]).local_path("a/b")
assert path.read_bytes() == b"content"
print(oct(path.parents[3].stat().st_mode)[-3:], path)
"""
    ran = subprocess.run([sys.executable, "-c", code, s3_uri], capture_output=True, text=True, check=True, cwd=ROOT)
    mode, path = ran.stdout.split()
    assert not Path(path).exists() and not Path(path).parent.exists()
    assert mode == "700"


def answered(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    method = "GET" if data is None else "PUT"
    request = urllib.request.Request(url, data, {k.replace("_", "-"): v for k, v in headers.items()}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, b""


def test_a_vendor_reads_by_a_link_and_delivers_once(store: Store, tmp_path: Path) -> None:
    store.put_new("campaigns/c/batches/b/x1/questions.parquet", b"questions")
    link = download_link(store, "campaigns/c/batches/b/x1/questions.parquet")
    assert answered(link.url) == (200, b"questions")
    assert answered(link.url.replace("questions.parquet", "key/samples.parquet"))[0] == 403
    upload = upload_link(store, "c", "b", "acme")
    assert upload.key.startswith("campaigns/c/inbox/b/acme-")
    assert answered(upload.url, b"answers")[0] == 403, "the condition is part of what is signed"
    assert answered(upload.url, b"answers", If_None_Match="*")[0] == 200
    assert answered(upload.url, b"others", If_None_Match="*")[0] == 412
    assert store.read(upload.key) == b"answers"
    with pytest.raises(Refused, match="is a folder"):
        upload_link(open_store(str(tmp_path)), "c", "b", "acme")
    with pytest.raises(Refused, match="vendor's name"):
        upload_link(store, "c", "b", "../acme")


def test_the_bucket_policy_keeps_everything_but_checkpoints(s3_server: seaweed.Server) -> None:
    text = (ROOT / "deploy" / "s3-bucket-policy.json").read_text().replace("BUCKET", "guarded")
    conditional, removals, encrypted = json.loads(text)["Statement"]
    assert conditional["Condition"]["Null"] == {"s3:if-none-match": "true"}  # which this server does not know
    client = s3_server.client()
    client.create_bucket(Bucket="guarded")
    client.put_bucket_policy(Bucket="guarded", Policy=json.dumps({"Version": "2012-10-17", "Statement": [removals]}))
    store = open_store("s3://guarded/store")
    store.put_new("campaigns/c/labels/log/0000000001.json", b"{}")
    store.put_new("campaigns/c/runs/r/policy/checkpoints/00000001/manifest.json", b"{}")
    with pytest.raises(Refused, match="refuses DeleteObject"):
        store.drop("campaigns/c/labels/log/0000000001.json")
    store.drop("campaigns/c/runs/r/policy/checkpoints/00000001/manifest.json")
    assert store.keys("campaigns") == ["campaigns/c/labels/log/0000000001.json"]
