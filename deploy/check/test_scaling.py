"""What the first emulator refuses is held against the APIs of another: scaling policies, and alarms that compute.

The properties are the templates' own. botocore checks their form by AWS's models, moto what it knows beyond that.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from conftest import EMULATOR, TARGET
from template import FOLDER, Resolved, read

SCALING = Resolved(read(FOLDER / "scaling.yaml"))
WATCH = Resolved(read(FOLDER / "watch.yaml"))
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
    ecs.register_task_definition(family="gristmill-worker", containerDefinitions=[{"name": "worker", "image": "i", "memory": 1}])
    [service] = WORKERS.properties("AWS::ECS::Service").values()
    ecs.create_service(cluster="gristmill", serviceName=service["ServiceName"], taskDefinition="gristmill-worker", desiredCount=1)
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
    stored = {policy["PolicyName"]: policy for policy in scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]}
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
    for template in (SCALING, WATCH):
        for alarm in template.properties("AWS::CloudWatch::Alarm").values():
            cloudwatch.put_metric_alarm(**alarm)
            computing += "Metrics" in alarm
    # Beside those that target tracking makes for itself.
    stored = cloudwatch.describe_alarms(AlarmNamePrefix="gristmill-")["MetricAlarms"]
    assert computing == 6
    assert len(stored) == 9
    for alarm in stored:
        returned = [metric for metric in alarm.get("Metrics", []) if metric.get("ReturnData")]
        assert len(returned) == (1 if alarm.get("Metrics") else 0), alarm["AlarmName"]
        # A queue that sleeps has no metrics: nobody is to be woken by that.
        assert alarm["TreatMissingData"] == "notBreaching", alarm["AlarmName"]


def test_every_name_in_an_expression_is_a_metric_of_its_own() -> None:
    import re

    functions = {"IF", "FILL"}
    for template in (SCALING, WATCH):
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
