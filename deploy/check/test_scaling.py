"""What the first emulator refuses is held against the APIs of another: scaling policies, and alarms that compute.

The properties are the templates' own. botocore checks their form by AWS's models, moto what it knows beyond that.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml

from conftest import EMULATOR, TARGET
from template import FOLDER, Resolved, read

SCALING = Resolved(read(FOLDER / "scaling.yaml"))
WATCH = Resolved(read(FOLDER / "watch.yaml"))
DATASET = Resolved(read(FOLDER / "dataset.yaml"), Dataset="rain")
WORKERS = Resolved(read(FOLDER / "workers.yaml"))
SERVICE = "service/gristmill/gristmill-workers"


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    moto = subprocess.Popen(
        [TARGET / "venv-moto/bin/python", EMULATOR / "moto.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert moto.stdin and moto.stdout
    endpoint = json.loads(moto.stdout.readline())["endpoint"]
    session = boto3.Session("test", "test", region_name="eu-west-1")
    ecs = session.client("ecs", endpoint_url=endpoint)
    ecs.create_cluster(clusterName="gristmill")
    container = {"name": "worker", "image": "i", "memory": 1}
    ecs.register_task_definition(family="gristmill-worker", containerDefinitions=[container])
    [service] = WORKERS.properties("AWS::ECS::Service").values()
    ecs.create_service(
        cluster="gristmill", serviceName=service["ServiceName"], taskDefinition="gristmill-worker", desiredCount=1)
    yield lambda name: session.client(name, endpoint_url=endpoint)
    moto.kill()
    moto.wait()


def register(scaling: Any) -> None:
    [target] = SCALING.properties("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert target["ResourceId"] == SERVICE
    scaling.register_scalable_target(**target)


def test_the_policies_are_what_application_auto_scaling_takes(session: Any) -> None:
    scaling = session("application-autoscaling")
    register(scaling)
    policies = SCALING.properties("AWS::ApplicationAutoScaling::ScalingPolicy")
    where = {"ServiceNamespace": "ecs", "ResourceId": SERVICE, "ScalableDimension": "ecs:service:DesiredCount"}
    for policy in policies.values():
        assert policy.pop("ScalingTargetId") == "ref-of-Target"
        scaling.put_scaling_policy(**policy, **where)

    [target] = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 20)
    described = scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    stored = {policy["PolicyName"]: policy for policy in described}
    assert sorted(stored) == ["gristmill-sleep", "gristmill-track", "gristmill-wake"]
    track = stored["gristmill-track"]["TargetTrackingScalingPolicyConfiguration"]
    metrics = track["CustomizedMetricSpecification"]["Metrics"]
    assert track["TargetValue"] == 4
    assert [metric["Id"] for metric in metrics if metric["ReturnData"]] == ["load"]
    # Nothing at work may be forgotten, or tasks are ended under their last batches.
    assert {metric["MetricStat"]["Metric"]["MetricName"] for metric in metrics if "MetricStat" in metric} == {
        "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible", "RunningTaskCount"}


def test_alarms_that_compute_are_what_cloudwatch_takes(session: Any) -> None:
    cloudwatch = session("cloudwatch")
    computing = 0
    for template in (SCALING, WATCH, DATASET):
        for alarm in template.properties("AWS::CloudWatch::Alarm").values():
            cloudwatch.put_metric_alarm(**alarm)
            computing += "Metrics" in alarm
    # Beside those that target tracking makes for itself.
    stored = cloudwatch.describe_alarms(AlarmNamePrefix="gristmill-")["MetricAlarms"]
    assert computing == 8
    assert len(stored) == 17
    for alarm in stored:
        returned = [metric for metric in alarm.get("Metrics", []) if metric.get("ReturnData")]
        assert len(returned) == (1 if alarm.get("Metrics") else 0), alarm["AlarmName"]
        # A queue that sleeps has no metrics: nobody is to be woken by that.
        assert alarm["TreatMissingData"] == "notBreaching", alarm["AlarmName"]


def test_the_dashboard_is_json_and_names_alarms_that_there_are() -> None:
    [dashboard] = WATCH.properties("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    assert [widget["properties"]["markdown"] for widget in widgets if widget["type"] == "text"] == [
        "## Behind?", "## Failing?", "## Busy?", "## Costly?"]
    [shown] = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    alarms = {alarm["AlarmName"] for alarm in WATCH.properties("AWS::CloudWatch::Alarm").values()}
    # Those of WorkerMetrics may not be there.
    assert {arn.rsplit(":", 1)[1] for arn in shown} <= alarms
    assert len(shown) == 7


def test_a_worker_that_is_stopped_has_time_for_its_drain() -> None:
    [task] = WORKERS.properties("AWS::ECS::TaskDefinition").values()
    [container] = task["ContainerDefinitions"]
    variables = {variable["Name"]: variable["Value"] for variable in container["Environment"]}
    # 5 s to give back what is left; Fargate takes 120 s at most.
    assert seconds(variables["GRISTMILL_DRAIN"]) + 5 <= container["StopTimeout"] <= 120
    # A worker sees only the container's limit, and a task cannot give more than it has.
    assert container["Memory"] == task["Memory"]

    kinds = {document["kind"]: document for document in yaml.safe_load_all((FOLDER / "keda.yaml").read_text())}
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    variables = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
    assert pod["terminationGracePeriodSeconds"] == seconds(variables["GRISTMILL_DRAIN"]) + 10
    assert "lifecycle" not in pod["containers"][0]
    # Whoever sets the number of workers is the only one to do so.
    assert "replicas" not in kinds["Deployment"]["spec"]
    [service] = WORKERS.properties("AWS::ECS::Service").values()
    assert "DesiredCount" not in service


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_every_name_in_an_expression_is_a_metric_of_its_own() -> None:
    functions = {"IF", "FILL"}
    for template in (SCALING, WATCH, DATASET):
        found = 0
        for alarm in template.properties("AWS::CloudWatch::Alarm").values():
            for metric in alarm.get("Metrics", []):
                if "Expression" in metric:
                    names = set(re.findall(r"[A-Za-z]\w*", metric["Expression"])) - functions
                    assert names == {other["Id"] for other in alarm["Metrics"] if "MetricStat" in other}, alarm["AlarmName"]
                    found += 1
        assert found


def test_one_fleet_has_one_set_of_names() -> None:
    """Every template names the same queue, cluster and service, whatever the fleet is called."""
    files = [file for file in FOLDER.glob("*.yaml") if file.read_text().startswith("AWSTemplateFormatVersion")]
    other = {file.name: json.dumps(list(_all_values(Resolved(read(file), Fleet="rainfall")))) for file in files}
    for name, text in other.items():
        assert "gristmill-" not in text.replace("gristmill-reason", ""), name
    assert "rainfall-batches" in other["data.yaml"] and "rainfall-batches" in other["scaling.yaml"]


def _all_values(resolved: Resolved) -> Iterator[Any]:
    for kind in (
        "AWS::SQS::Queue", "AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::CloudWatch::Alarm", "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::StepFunctions::StateMachine",
    ):
        yield from resolved.properties(kind).values()
