"""What stock moto 5.2.1 gets wrong, fixed, so that a test which passes here has a chance on AWS.

Each fix says what AWS does. They reach into moto's internals, which is why the version is pinned.
"""

import datetime
import json
import threading
import types
from xml.etree import ElementTree

import policies
from moto import backends
from moto.awslambda import models as functions
from moto.core import authorization
from moto.dynamodb import models as tables
from moto.ec2.exceptions import InvalidParameterValueError
from moto.ec2.models import fleets
from moto.ec2.models import instances
from moto.ec2.models import launch_templates
from moto.events import models as events
from moto.iam import access_control
from moto.s3 import models as buckets
from moto.s3 import responses
from moto.s3.exceptions import MissingKey
from moto.sqs import models as queues
from moto.ssm import models as parameters

# Which caller (an assumed role's name, or "-") made which call, and whether its policy allowed it.
AUDIT = {}
AUDIT_LOCK = threading.Lock()
# What is refused as AWS refuses it, each by its name; a test that needs it otherwise switches one off.
REFUSALS = {
    # An absent key of S3 is 403 for who may not list the bucket.
    "absent_keys": True,
    # A disk's key that the launching role may not use: the launch succeeds, and the machine ends at once.
    "disk_keys": True,
    # CreateFleet takes a capacity pool once, and four choices by attributes.
    "fleet_configuration": True,
    # A fleet launches nothing in subnets that have no address for each of its machines.
    "full_subnets": True,
    # Roles are held to resources and conditions too; otherwise by actions only.
    "policies": True,
}
# Whether what the thread's request launches can start.
LAUNCH = threading.local()
# Seconds that the queues' clock is ahead of the machine's.
AHEAD = [0.0]


def clock():
    """Visibility and delay follow a clock that a test can move on."""
    real, real_millis = queues.unix_time, queues.unix_time_millis
    queues.unix_time = lambda when=None: real(when) + (0 if when else AHEAD[0])
    queues.unix_time_millis = lambda when=None: real_millis(when) + (0 if when else AHEAD[0] * 1000)


def sqs():
    # AWS stores the attribute; the Terraform provider waits for it forever otherwise.
    queues.Queue.BASE_ATTRIBUTES = queues.Queue.BASE_ATTRIBUTES + ["RedriveAllowPolicy"]
    queues.Queue.redrive_allow_policy = None
    stock = queues.Queue.attributes.fget

    def attributes(self):
        found = stock(self)
        if not found.get("RedriveAllowPolicy"):
            found.pop("RedriveAllowPolicy", None)
        if self.redrive_policy:
            # AWS answers compact JSON; another spelling is a perpetual difference.
            found["RedrivePolicy"] = json.dumps(self.redrive_policy, separators=(",", ":"))
        return found

    queues.Queue.attributes = property(attributes)
    # moto would receive and delete messages itself; the Lambda host does that here.
    queues.Queue.lambda_event_source_mappings = property(lambda self: {}, lambda self, value: None)

    # A receive answers the handle under which the message is known from then on; an earlier one is accepted and does nothing.
    mark_received = queues.Message.mark_received

    def received(self, visibility_timeout=None):
        mark_received(self, visibility_timeout)
        self._old_receipt_handles = []

    queues.Message.mark_received = received

    handle_length = 100  # moto's are longer

    def delete_message(self, receipt_handle):
        for message in list(self._messages):
            if message.receipt_handle == receipt_handle:
                self.pending_messages.discard(message)
                self._messages = [other for other in self._messages if other is not message]
                return
        if len(receipt_handle) >= handle_length:
            return
        raise queues.ReceiptHandleIsInvalid()

    queues.Queue.delete_message = delete_message


def ec2():
    # Tags of the template itself do not belong to what it launches.
    stock = launch_templates.LaunchTemplateVersion.__init__

    def version(self, template, number, data, description):
        if data.get("TagSpecifications"):
            kept = [tags for tags in data["TagSpecifications"] if tags.get("ResourceType") != "launch-template"]
            data["TagSpecifications"] = kept
            if not kept:
                del data["TagSpecifications"]
        stock(self, template, number, data, description)

    launch_templates.LaunchTemplateVersion.__init__ = version

    # What a template says of profile, shutdown and metadata holds for the machines that a fleet makes from it.
    make = fleets.Fleet.__init__

    def fleet(self, ec2_backend, *arguments, **named):
        make(self, ec2_backend, *arguments, **named)
        for data in (self.instances or []):
            spec = (data.get("LaunchTemplateAndOverrides") or {}).get("LaunchTemplateSpecification")
            if not spec:
                continue
            template = ec2_backend.get_launch_template(template_id=spec["LaunchTemplateId"])
            content = template.get_version(spec.get("Version", template.default_version_number)).data
            overrides = data["LaunchTemplateAndOverrides"].get("Overrides") or {}
            for instance_id in data["InstanceIds"]:
                instance = ec2_backend.get_instance(instance_id)
                behaviour = content.get("InstanceInitiatedShutdownBehavior")
                if behaviour:
                    instance.instance_initiated_shutdown_behavior = behaviour
                zone = overrides.get("AvailabilityZone")
                if zone and not overrides.get("SubnetId"):
                    instance._placement.zone = zone
                options = content.get("MetadataOptions")
                if options:
                    instance.metadata_options = instances.MetadataOptions(options)

    fleets.Fleet.__init__ = fleet
    create = fleets.FleetsBackend.create_fleet

    def create_fleet(self, *arguments, **named):
        made = create(self, *arguments, **named)
        if getattr(LAUNCH, "cannot_start", False):
            LAUNCH.doomed = [self.get_instance(one) for data in made.instances or [] for one in data["InstanceIds"]]
        return made

    fleets.FleetsBackend.create_fleet = create_fleet

    # A template may name a parameter in place of an image. EC2 reads it at each launch.
    run = instances.InstanceBackend.run_instances

    def run_instances(self, image_id, *arguments, **named):
        if name := policies.parameter_of(image_id or ""):
            _, found, _ = policies.Asked(self.region_name, "").parameter(name)
            if not found:
                raise InvalidParameterValueError(f"The parameter {name} does not exist")
            image_id = found.value
        return run(self, image_id, *arguments, **named)

    instances.InstanceBackend.run_instances = run_instances


def end_what_cannot_start():
    """After the answer: "Client.InternalError: A client error caused the instance to terminate during launch" (EC2 User Guide)."""
    for instance in getattr(LAUNCH, "doomed", []):
        instance.terminate()
        instance.state_reason = instances.StateReason("Client.InternalError: Client error on launch", "Client.InternalError")
    LAUNCH.doomed = []


def functions_():
    # AWS gives back what was set; dropped fields are perpetual differences. The code can be fetched.
    kept = ("DeadLetterConfig", "KMSKeyArn", "LoggingConfig")
    make = functions.LambdaFunction.__init__

    def init(self, account_id, spec, region, version=1):
        self._kept = {name: spec[name] for name in kept if spec.get(name)}
        make(self, account_id, spec, region, version)

    functions.LambdaFunction.__init__ = init
    stock = functions.LambdaFunction.get_configuration

    def configuration(self, on_create=False):
        found = stock(self, on_create)
        found.update(getattr(self, "_kept", {}))
        found.setdefault("LoggingConfig", {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"})
        return found

    functions.LambdaFunction.get_configuration = configuration
    update = functions.LambdaFunction.update_configuration

    def updated(self, changes):
        self._kept.update({name: changes[name] for name in kept if name in changes})
        if "EphemeralStorage" in changes:
            self.ephemeral_storage = changes["EphemeralStorage"]["Size"]
        if "TracingConfig" in changes:
            self.tracing_config = changes["TracingConfig"]
        return update(self, changes)

    functions.LambdaFunction.update_configuration = updated


def code_address(base):
    stock = functions.LambdaFunction.get_code

    def code(self):
        found = stock(self)
        place = f"{base()}/_emulator/code/{self.account_id}/{self.region}/{self.function_name}"
        found["Code"] = {"RepositoryType": "S3", "Location": place}
        return found

    functions.LambdaFunction.get_code = code


def iam(enforce):
    # A Deny whose condition cannot be evaluated must not deny (moto ignores conditions): every S3 call was 403.
    stock = access_control.IAMPolicyStatement.is_action_permitted

    def permitted(self, action, resource="*", principal=None, incoming_condition_values=None):
        conditional = self._statement.get("Effect") == "Deny" and self._statement.get("Condition")
        if conditional and not incoming_condition_values:
            return access_control.PermissionResult.NEUTRAL
        return stock(self, action, resource, principal, incoming_condition_values)

    access_control.IAMPolicyStatement.is_action_permitted = permitted

    # Only assumed roles are held to their policies: who calls with another key is the account's owner.
    def authorize(self, iam_request_cls, resource="*"):
        request = request_of(self, iam_request_cls)
        if not request:
            return
        role, session = request._access_key.arn.split("/")[-2:]
        documents = policies.documents(request._access_key)
        asked, disks = asked_for(self, request, session, resource)
        for action, resource, context in asked:
            if not is_allowed(role, documents, action, resource, context) and enforce():
                request._action = action
                request._raise_access_denied()
        LAUNCH.cannot_start = False
        if REFUSALS["disk_keys"]:
            allowed = [is_allowed(role, documents, *one) for one in disks]
            LAUNCH.cannot_start = enforce() and not all(allowed)

    authorization.ActionAuthenticatorMixin._authenticate_and_authorize_action = authorize


def is_allowed(role, documents, action, resource, context):
    """What is allowed or not is noted."""
    if not REFUSALS["policies"]:
        resource = None
    allowed = action == "sts:GetCallerIdentity" or policies.allows(documents, action, resource, context)
    with AUDIT_LOCK:
        if allowed:
            AUDIT.setdefault(f"{role} {action}", "allow")
        else:
            AUDIT[f"{role} {action}"] = "deny"
    return allowed


def request_of(response, iam_request_cls):
    """The request of an assumed role; none: another key's."""
    header = response.headers.get("Authorization", "")
    key = header.split("Credential=")[1].split("/")[0] if "Credential=" in header else ""
    if not key.startswith(("ASIA", "LSIA")):
        return None
    return iam_request_cls(
        account_id=response.current_account, method=response.method, path=response.path, data=response.data,
        body=response.raw_body, headers=response.headers, action=response._get_action(),
    )


def asked_for(response, request, session, resource):
    service, action = request._action.split(":")
    if service == "ec2" or service == "s3":
        call = {name: values[0] for name, values in response.querystring.items()}
    else:
        try:
            call = json.loads(response.raw_body or b"{}")
        except ValueError:
            call = {}
    return policies.asked_for(service, action, request._region, session, call, resource)


def eventbridge():
    # A scheduled rule matches no event that is put; targets that are functions are the Lambda host's.
    stock = events.Rule.send_to_targets

    def send(self, original_event, transform_input=True):
        if not self.event_pattern or not self.event_pattern.get_pattern():
            return
        targets = self.targets
        self.targets = [target for target in targets if ":lambda:" not in target["Arn"]]
        try:
            stock(self, original_event, transform_input)
        finally:
            self.targets = targets

    events.Rule.send_to_targets = send


def s3():
    # Deleting the version of a delete marker crashed, and Terraform retried forever.
    buckets.FakeDeleteMarker.dispose = lambda self: None

    # "If the object you request doesn't exist, the error that Amazon S3 returns depends on whether you also have the s3:ListBucket
    # permission": 404 with it, 403 without (API reference of HeadObject and GetObject). A HEAD names no prefix.
    def is_hidden(response, bucket):
        request = request_of(response, access_control.S3IAMRequest) if REFUSALS["absent_keys"] else None
        context = policies.Context(**{"aws:SecureTransport": "true"})
        return request and not policies.allows(
            policies.documents(request._access_key), "s3:ListBucket", f"arn:aws:s3:::{bucket}", context
        )

    head, get = responses.S3Response.head_object, responses.S3Response._get_key

    def head_object(self, bucket_name, *arguments, **named):
        answer = head(self, bucket_name, *arguments, **named)
        return (403, answer[1], "") if answer[0] == 404 and is_hidden(self, bucket_name) else answer

    def get_key(self, *arguments, **named):
        try:
            return get(self, *arguments, **named)
        except MissingKey:
            if is_hidden(self, self.bucket_name):
                raise access_control.S3AccessDeniedError() from None
            raise

    responses.S3Response.head_object = head_object
    responses.S3Response._get_key = get_key


def ssm():
    # A name is the caller's account's, an ARN whose it says: another account's parameter is read by its full ARN alone, and answered with
    # its bare name (API reference, GetParameters). moto knows no ARN there. That it is shared is taken for granted.
    get = parameters.SimpleSystemManagerBackend.get_parameters

    def get_parameters(self, names):
        found = get(self, [name for name in names if not name.startswith("arn:")])
        for arn in (name for name in names if name.startswith("arn:")):
            _, _, _, region, account, place = arn.split(":", 5)
            place = place.removeprefix("parameter/")
            backend = parameters.ssm_backends[account][region] if region == self.region_name else None
            known = [name for name in (place, f"/{place}") if backend and name in backend._parameters]
            found.update({arn: backend.get_parameter(name) for name in known})
        return found

    parameters.SimpleSystemManagerBackend.get_parameters = get_parameters

    # AWS's own parameters can be read; lists show an account's own alone.
    describe = parameters.SimpleSystemManagerBackend.describe_parameters

    def describe_parameters(self, *arguments, **named):
        return [one for one in describe(self, *arguments, **named) if not one.name.startswith("/aws/")]

    parameters.SimpleSystemManagerBackend.describe_parameters = describe_parameters


def dynamodb():
    # A transaction kept a copy of the whole table for its undoing; a copy of the items that it touches is enough.
    original, tables_copy = tables.copy.deepcopy, tables.copy.copy

    def deepcopy(thing, memo=None):
        if isinstance(thing, tables.Table):
            twin = tables_copy(thing)
            twin.items = tables_copy(thing.items)
            for hash_key, row in thing.items.items():
                twin.items[hash_key] = _shallow(row)
            return twin
        return original(thing, memo) if memo is not None else original(thing)

    def _shallow(row):
        if isinstance(row, dict):
            return {key: _item(item) for key, item in row.items()}
        return _item(row)

    def _item(item):
        twin = tables_copy(item)
        twin.attrs = {name: tables_copy(value) for name, value in item.attrs.items()}
        return twin

    tables.copy = types.SimpleNamespace(copy=tables_copy, deepcopy=deepcopy)


def hosts():
    # Each request listed the package's directory, some two hundred entries of it, while all others waited.
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules


def all_of_it(base, enforce):
    hosts()
    clock()
    sqs()
    ec2()
    functions_()
    code_address(base)
    iam(enforce)
    eventbridge()
    s3()
    ssm()
    dynamodb()


def without_young(answer, seconds):
    """A list of machines as EC2 gives it for a while after a launch: the newest are not in it yet."""
    status, headers, content = answer
    tree = ElementTree.fromstring(content)
    space = tree.tag.partition("}")[0] + "}" if tree.tag.startswith("{") else ""
    now = datetime.datetime.now(datetime.timezone.utc)
    for reservations in tree.iter(f"{space}reservationSet"):
        for reservation in list(reservations):
            machines = reservation.find(f"{space}instancesSet")
            for machine in list(machines):
                at = machine.find(f"{space}launchTime").text.replace("Z", "+00:00")
                if (now - datetime.datetime.fromisoformat(at)).total_seconds() < seconds:
                    machines.remove(machine)
            if not len(machines):
                reservations.remove(reservation)
    ElementTree.register_namespace("", space.strip("{}"))
    content = ElementTree.tostring(tree)
    headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
    return status, headers + [("Content-Length", str(len(content)))], content
