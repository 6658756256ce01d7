"""The files of deploy/ that no machine here can start: checked against what reads them, as far as that goes."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from botocore.session import Session
from botocore.validate import ParamValidator
from docker.utils.build import exclude_paths  # type: ignore[import-untyped]
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
from prefect.utilities.callables import parameter_schema
from prefect.utilities.importtools import import_object
from prefect.utilities.templating import apply_values, find_placeholders

from models.lm import gpu
from models.training.termination import GRACE_S
from web.connections import STOP_S
from web.serve import check_address

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RECIPE = (DEPLOY / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: str(d["name"]))
def test_every_deployment_names_a_flow_and_parameters_that_it_has(deployment: dict[str, Any]) -> None:
    schema = parameter_schema(import_object(deployment["entrypoint"]))
    assert deployment["parameters"].keys() <= schema.properties.keys()
    assert set(schema.required) <= deployment["parameters"].keys() | {"run"}, "only a run must be named by a person"
    assert deployment["work_pool"]["name"] in ("andon-cpu", "andon-gpu")
    for name in ("campaign", "store", "seed", "base", "preset"):
        if name in schema.properties:
            assert schema.properties[name]["description"], "the page in Prefect is a form for people"


def test_what_must_happen_by_itself_is_scheduled_and_the_rest_is_not() -> None:
    scheduled = {each["name"] for each in DEPLOYMENTS if each.get("schedules")}
    assert scheduled == {"ingest_labels", "retrain_nightly"}
    (trigger,) = next(each for each in DEPLOYMENTS if each["name"] == "ingest_labels")["triggers"]
    emitted = (ROOT / "flows" / "cli" / "ingest.py").read_text()
    assert f'"{trigger["expect"][0]}"' in emitted
    assert trigger["match"]["prefect.resource.id"].removesuffix("*") in emitted


def test_automations_are_as_prefect_reads_them_and_name_what_there_is() -> None:
    text = (DEPLOY / "automations.yaml").read_text().replace("BLOCK_ID", str(UUID(int=0)))
    automations = {each["name"]: AutomationCore.model_validate(each) for each in yaml.safe_load(text)["automations"]}
    names = {each["name"] for each in DEPLOYMENTS}
    for automation in automations.values():
        assert isinstance(automation.trigger, EventTrigger) and len(automation.actions) == 1
        assert set(automation.trigger.match_related.root.get("prefect.resource.name", [])) <= names  # type: ignore[union-attr]
    lost = automations["andon-lost"].trigger
    frequency = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value()
    assert isinstance(lost, EventTrigger) and frequency
    assert lost.within.total_seconds() >= 3 * frequency, "a run that lives is never said to be lost"


def test_the_kubernetes_template_uses_the_variables_that_it_declares_and_no_other() -> None:
    template = json.loads((DEPLOY / "kubernetes" / "base-job-template.json").read_text())
    variables = template["variables"]["properties"]
    used = {placeholder.name for placeholder in find_placeholders(template["job_configuration"])}
    assert used == variables.keys()
    values = {name: each.get("default", name) for name, each in variables.items()}
    job = apply_values(template["job_configuration"], values)["job_manifest"]["spec"]
    pod = job["template"]["spec"]
    assert not find_placeholders(job)
    assert pod["parallelism"] == pod["completions"] == 1, "Prefect's worker looks for them there, and refuses without"
    assert job["backoffLimit"] == 0, "Prefect starts the next attempt, not Kubernetes beside it"
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["terminationGracePeriodSeconds"] >= 60 and pod["securityContext"]["runAsNonRoot"]


def test_the_task_definition_is_one_that_ecs_takes_with_a_gpu_and_time_to_save() -> None:
    definition = json.loads((DEPLOY / "ecs" / "task-definition.json").read_text())
    shape = Session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    assert not ParamValidator().validate(definition, shape).has_errors()
    (container,) = definition["containerDefinitions"]
    assert container["name"] == "prefect", "as Prefect's ECS worker calls it"
    assert container["resourceRequirements"] == [{"type": "GPU", "value": "1"}] and container["stopTimeout"] == 120
    assert container["user"] == "10001"


def test_compose_has_a_worker_for_every_pool_that_something_is_deployed_to() -> None:
    commands = [service.get("command", "") for service in SERVICES.values()]
    served = {command[-1] for command in commands if command[:3] == ["prefect", "worker", "start"]}
    assert served == {each["work_pool"]["name"] for each in DEPLOYMENTS}


def test_compose_starts_services_that_exist_and_holds_no_secret() -> None:
    assert {"database", "s3", "server", "worker", "trainer", "page"} <= SERVICES.keys()
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= SERVICES.keys(), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "nothing is open to a network"
        assert re.search(r":[\w.]+$", service["image"]) and not service["image"].endswith(":latest"), name
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", variable):
                assert value.startswith("${ANDON_"), f"{name} carries a secret"
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == COMPOSE["volumes"].keys()


def test_containers_of_andon_keep_their_state_and_have_time_to_stop() -> None:
    folder = re.search(r"ANDON_STATE=(\S+)", RECIPE)
    assert folder is not None
    for name in ("worker", "trainer", "page"):
        service = SERVICES[name]
        assert f"state:{folder[1]}" in service["volumes"] and service["init"], name
        assert int(service["stop_grace_period"].removesuffix("s")) > GRACE_S + STOP_S, name


def test_only_the_s3_port_leads_to_the_objects() -> None:
    beside = {name for name, service in SERVICES.items() if "objects" in service.get("networks", [])}
    assert beside == {"objects", "s3"} and "ports" not in SERVICES["objects"]
    assert COMPOSE["networks"]["objects"] == {"internal": True}
    assert SERVICES["s3"]["command"][-4:] == ["--from", ":8333", "--to", "objects:8333"]
    assert "-ip.bind=127.0.0.1" in SERVICES["objects"]["command"]


def test_the_page_of_compose_believes_the_gateway_that_its_proxy_comes_through() -> None:
    options = dict(part.removeprefix("--").split("=", 1) for part in SERVICES["page"]["command"][3:])
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert options.pop("trust-proxy") == network["gateway"]
    assert check_address(options["listen"], int(options["port"]), "https://x", [network["gateway"]]).public
    assert SERVICES["page"]["ports"] == ["127.0.0.1:8000:8000"] and options["port"] == "8000"


SECRETS = (
    ".env",
    ".ENV",
    ".env.production",
    "prod.env",
    "deploy/.env",
    "deploy/prod.env",
    "data/.env.local",
    "data/page/.env/inside",
    "campaigns/page.key",
    "campaigns/PAGE.KEY",
    "campaigns/deep/er/tls.pem",
    "campaigns/.aws/credentials",
    "deploy/credentials.json",
    "deploy/client_secret.json",
    "campaigns/id_rsa",
    "campaigns/store.p12",
    ".git/config",
    "data/.git/config",
    ".venv/bin/python",
    ".venv-exchange/bin/python",
    "web/.venv/bin/python",
    "andon-store/campaigns/c.json",
    "campaigns/andon-store/cord/log/1.json",
    "mine/cord/log/1.json",
    "answers.csv",
    "docs/by-hand/answers.csv",
    "tests/conftest.py",
    "models/__pycache__/card.pyc",
    "base/build/corpus.txt",
    "key",
)


def test_nothing_secret_enters_an_image_and_everything_needed_does(tmp_path: Path) -> None:
    assert not list(DEPLOY.glob("*.dockerignore")), "a builder would read it instead of .dockerignore"
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [*project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], "constraints.txt", "deploy"]
    named += ["pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]]
    files = [path for name in named for path in ((ROOT / name).rglob("*") if (ROOT / name).is_dir() else [ROOT / name])]
    unwanted = re.compile(r"/(__pycache__|build)(/|$)|/\.")
    needed = {str(path.relative_to(ROOT)) for path in files if path.is_file()}
    needed = {name for name in needed if not unwanted.search(f"/{name}")}
    for name in (*needed, *SECRETS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    included = {name for name in exclude_paths(str(tmp_path), patterns) if (tmp_path / name).is_file()}
    assert included == needed


def test_both_images_are_of_a_released_python_with_dependencies_before_code_and_without_root() -> None:
    begun = [stage.split("\n", 1)[0].split(" AS ") for stage in RECIPE.split("\nFROM ")[1:]]
    assert {name: start for start, name in begun} == {"base": "python:3.11-slim-trixie", "cpu": "base", "cuda": "base"}
    for stage in RECIPE.split("\nFROM base ")[1:]:
        places = [stage.index(f"\n{step}") for step in IN_ORDER]
        assert places == sorted(places)
    assert RECIPE.index("COPY pyproject.toml constraints.txt") < RECIPE.index("COPY . .")


def test_the_image_for_gpus_has_the_cuda_of_its_torch_and_never_trains_without_a_gpu() -> None:
    cuda = RECIPE.split("\nFROM base AS cuda\n")[1]
    assert "torch==2.13.0\n" in (ROOT / "constraints.txt").read_text(), "whose wheels on PyPI are for CUDA 13.0"
    assert 'NVIDIA_REQUIRE_CUDA="cuda>=13.0"' in cuda and "index-url" not in cuda
    assert f"{gpu.REQUIRED}=1" in cuda


IN_ORDER = ("RUN pip install", "COPY . .", "RUN pip install --no-deps", "USER 10001")
