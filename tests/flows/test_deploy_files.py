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
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
from prefect.utilities.callables import parameter_schema
from prefect.utilities.importtools import import_object
from prefect.utilities.templating import apply_values, find_placeholders

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
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
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    commands = [service.get("command", "") for service in services]
    served = {command[-1] for command in commands if command[:3] == ["prefect", "worker", "start"]}
    deployed = yaml.safe_load((DEPLOY / "prefect.yaml").read_text())["deployments"]
    assert served == {each["work_pool"]["name"] for each in deployed}


def test_compose_starts_services_that_exist_and_holds_no_secret() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    assert {"database", "s3", "server", "worker", "trainer"} <= services.keys()
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= services.keys(), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "nothing is open to a network"
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", variable):
                assert value.startswith("${ANDON_"), f"{name} carries a secret"
    mounted = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert mounted == yaml.safe_load(text)["volumes"].keys()
    workers = services["trainer"]
    assert int(workers["stop_grace_period"].removesuffix("s")) > 60


def test_both_images_have_every_package_and_run_without_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    hidden = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert not {*wheel["packages"], "deploy", "constraints.txt"} & set(hidden) and ".git" in hidden
    stages = text.split("\nFROM ")[1:]
    assert [stage.splitlines()[0].split(" AS ")[1] for stage in stages] == ["cpu", "cuda"]
    assert all("\nUSER 10001\n" in stage for stage in stages)
