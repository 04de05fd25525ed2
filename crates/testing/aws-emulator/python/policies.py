"""What a role's policies say of a call: effect, action, resource and conditions, as IAM evaluates them
(IAM User Guide, "Policy evaluation logic", "Condition operators", "Policy variables").

moto holds a role to actions only. Which permissions a call asks for, on what and with which keys of the request's context, stands
below `asked_for`; it is from the Service Authorization Reference. A service that is not there is checked by its action only.
"""

import json
import re

from moto.dynamodb.models import dynamodb_backends
from moto.ec2.models import ec2_backends
from moto.iam.models import Policy, iam_backends
from moto.ssm.models import ssm_backends

ACCOUNT = "123456789012"
# A standard parameter's value is encrypted by the key itself, a longer one's by a data key (Parameter Store, "Standard parameter tier").
STANDARD_BYTES_MAX = 4096


def like(pattern, text):
    """`*` is any text, `?` any character."""
    expression = "".join(".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def listed(value):
    return value if isinstance(value, list) else [value]


class Context(dict):
    """The keys of a request's context, in any case, each with its values."""

    def __init__(self, **values):
        super().__init__()
        self.add(values)

    def add(self, values):
        for key, value in values.items():
            self[key.lower()] = [str(one) for one in listed(value)]
        return self


def filled(text, context):
    """A text with its policy variables; none when one of them has no value, and then nothing matches."""
    missing = []

    def value(match):
        found = context.get(match.group(1).lower())
        if not found:
            missing.append(match.group(1))
            return ""
        return found[0]

    text = re.sub(r"\$\{([^}]+)\}", value, text)
    return None if missing else text


COMPARISONS = {
    "StringEquals": lambda wanted, given: wanted == given,
    "StringEqualsIgnoreCase": lambda wanted, given: wanted.lower() == given.lower(),
    "StringLike": like,
    "ArnLike": like,
    "ArnEquals": like,
    "Bool": lambda wanted, given: wanted.lower() == given.lower(),
}
NEGATIONS = {"StringNotEquals": "StringEquals", "StringNotLike": "StringLike", "ArnNotLike": "ArnLike", "ArnNotEquals": "ArnEquals"}


def holds(operator, key, wanted, context):
    """Whether one condition holds. What is not known is an error, so that no test passes by it."""
    given = context.get(key.lower())
    quantifier, _, name = operator.rpartition(":")
    if name == "Null":
        return (str(listed(wanted)[0]).lower() == "true") == (not given)
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    is_negated = name in NEGATIONS
    compare = COMPARISONS.get(NEGATIONS.get(name, name))
    if not compare:
        raise ValueError(f"a condition operator that the emulator does not know: {operator}")
    if not given:
        return if_exists or is_negated or quantifier == "ForAllValues"
    values = [filled(str(one), context) for one in listed(wanted)]
    values = [one for one in values if one is not None]
    each = [any(compare(value, one) for value in values) != is_negated for one in given]
    return any(each) if quantifier == "ForAnyValue" else all(each)


def concerns(statement, action, resource, context):
    """Whether a statement is about this; without a `resource` only the action is checked."""
    actions = statement.get("NotAction", statement.get("Action"))
    matches = any(like(pattern.lower(), action.lower()) for pattern in listed(actions))
    if matches == ("NotAction" in statement):
        return False
    if not resource:
        # A Deny that cannot be evaluated must not deny.
        is_plain = "Condition" not in statement and statement.get("Resource") in ("*", ["*"])
        return statement["Effect"] == "Allow" or is_plain
    patterns = [filled(pattern, context) for pattern in listed(statement.get("NotResource", statement.get("Resource")))]
    matches = any(pattern is not None and like(pattern, resource) for pattern in patterns)
    if matches == ("NotResource" in statement):
        return False
    conditions = statement.get("Condition", {})
    return all(holds(operator, key, wanted, context) for operator, keys in conditions.items() for key, wanted in keys.items())


def allows(documents, action, resource, context):
    """Some statement allows it, and none denies it."""
    statements = [one for document in documents for one in listed(document["Statement"]) if concerns(one, action, resource, context)]
    return bool(statements) and all(one["Effect"] == "Allow" for one in statements)


def documents(key):
    """The policies of a key's owner."""
    found = []
    for policy in key.collect_policies():
        if isinstance(policy, Policy):
            policy = next(version.document for version in policy.versions if version.is_default)
        elif not isinstance(policy, str):
            policy = policy["policy_document"]
        found.append(json.loads(policy))
    return found


def parameter_of(image):
    """The parameter that a template names in place of an image, if it does."""
    return image.removeprefix("resolve:ssm:") if image.startswith("resolve:ssm:") else None


def tags_of(tags):
    return {f"aws:ResourceTag/{one['key']}": one["value"] for one in tags}


class Asked:
    """The permissions that one call asks for."""

    def __init__(self, region, session):
        self.region = region
        self.all = []
        # What is asked when the machines are there already: a refusal ends them.
        self.disks = []
        self.base = {"aws:SecureTransport": "true"}
        # The credentials of an instance are a session of its name.
        if re.fullmatch(r"i-[0-9a-f]+", session):
            self.base["ec2:SourceInstanceARN"] = self.arn("ec2", f"instance/{session}")

    def arn(self, service, rest):
        return f"arn:aws:{service}:{self.region}:{ACCOUNT}:{rest}"

    def ask(self, action, resource, **context):
        self.all.append((action, resource, Context(**self.base).add(context.pop("keys", {})).add(context)))

    # --- KMS, which the services ask in the caller's name

    def key_arn(self, key):
        if not key or key.startswith("alias/aws/"):
            return None
        return key if key.startswith("arn:") else self.arn("kms", key if key.startswith("alias/") else f"key/{key}")

    def by(self, service, action, key, **keys):
        if arn := self.key_arn(key):
            self.ask(f"kms:{action}", arn, keys={"kms:ViaService": f"{service}.{self.region}.amazonaws.com", **keys})

    # --- the services

    def sqs(self, action, call):
        queue = (call.get("QueueUrl") or call.get("QueueName") or "*").rstrip("/").split("/")[-1]
        # AWS has no permission for a batch: the single call's is asked for.
        self.ask(f"sqs:{action.removesuffix('Batch')}", "*" if action == "ListQueues" else self.arn("sqs", queue))

    def dynamodb(self, action, call):
        # There is no permission for a transaction: each of its items asks for its own.
        kinds = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
        if action == "TransactWriteItems":
            pairs = {(kinds[kind], one[kind]["TableName"]) for one in call.get("TransactItems", []) for kind in one}
        elif action.startswith("Batch"):
            pairs = {(action, table) for table in call.get("RequestItems", {})}
        elif "TableName" in call:
            pairs = {(action, call["TableName"])}
        else:
            return self.ask(f"dynamodb:{action}", "*")
        for kind, table in sorted(pairs):
            name = table.split("table/")[-1]
            index = f"/index/{call['IndexName']}" if call.get("IndexName") else ""
            self.ask(f"dynamodb:{kind}", self.arn("dynamodb", f"table/{name}{index}"))
            found = dynamodb_backends[ACCOUNT][self.region].tables.get(name)
            encryption = (found.sse_specification if found else None) or {}
            # DynamoDB decrypts a table's keys in the caller's name (KMS, "How Amazon DynamoDB uses AWS KMS").
            if encryption.get("Enabled") and (action.endswith("Item") or action.endswith("Items") or action in ("Query", "Scan")):
                self.by("dynamodb", "Decrypt", encryption.get("KMSMasterKeyId"))

    def parameter(self, name):
        """A parameter's ARN, itself and its tags, by its name or its ARN: another account's is known by its ARN only."""
        arn = name if name.startswith("arn:") else self.arn("ssm", f"parameter/{name.lstrip('/')}")
        backend, rest = ssm_backends[arn.split(":")[4]][arn.split(":")[3]], arn.split(":parameter/")[-1]
        name = rest if rest in backend._parameters else f"/{rest}"
        found = backend._parameters.get(name)
        return arn, found[-1] if found else None, backend.list_tags_for_resource("Parameter", name) if found else {}

    def ssm(self, action, call):
        if action == "DescribeParameters":
            return self.ask(f"ssm:{action}", "*")
        if action == "GetParametersByPath":
            path = call["Path"].rstrip("/") or "/"
            self.ask(f"ssm:{action}", self.arn("ssm", f"parameter{path}"))
            below = ssm_backends[ACCOUNT][self.region]._parameters.get_keys_beginning_with(f"{path.rstrip('/')}/", True)
            names = list(below) if call.get("WithDecryption") else []
        elif "Parameter" not in action and action not in ("AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"):
            return self.ask(f"ssm:{action}", None)
        else:
            names = call.get("Names") or [call.get("Name") or call.get("ResourceId")]
        for name in names:
            arn, found, tags = self.parameter(name)
            keys = {f"aws:ResourceTag/{tag}": value for tag, value in tags.items()}
            if action != "GetParametersByPath":
                self.ask(f"ssm:{action}", arn, keys=keys)
            if action == "PutParameter" and call.get("Tags"):
                self.ask("ssm:AddTagsToResource", arn)
            names_itself = {"kms:EncryptionContext:PARAMETER_ARN": arn}
            if action.startswith("GetParameter") and call.get("WithDecryption") and found and found.parameter_type == "SecureString":
                self.by("ssm", "Decrypt", found.keyid, **names_itself)
            if action == "PutParameter" and call.get("Type") == "SecureString":
                long = call.get("Tier") == "Advanced" or len(call.get("Value", "").encode()) > STANDARD_BYTES_MAX
                self.by("ssm", "GenerateDataKey" if long else "Encrypt", call.get("KeyId"), **names_itself)

    def s3(self, action, resource, query):
        prefix = query.get("prefix") if action in ("ListBucket", "ListBucketVersions") else None
        self.ask(f"s3:{action}", resource, keys={"s3:prefix": prefix} if prefix is not None else {})

    def kms(self, action, call):
        self.ask(f"kms:{action}", self.key_arn(call["KeyId"]) if call.get("KeyId") else "*")

    def ec2(self, action, call):
        """`call` is as the query protocol has it: one name, one value."""
        values = lambda start: [value for name, value in sorted(call.items()) if re.match(start, name)]
        backend = ec2_backends[ACCOUNT][self.region]
        if action.startswith("Describe"):
            return self.ask(f"ec2:{action}", "*")
        if action == "CreateFleet":
            return self.fleet(backend, call)
        if action == "TerminateInstances":
            for id in values(r"InstanceId\.\d+$"):
                self.ask(f"ec2:{action}", self.arn("ec2", f"instance/{id}"), keys=self.instance_tags(backend, id))
        elif action in ("CreateTags", "DeleteTags"):
            keys = {"aws:TagKeys": values(r"Tag\.\d+\.Key$")}
            for number, key in ((name.split(".")[1], value) for name, value in call.items() if re.match(r"Tag\.\d+\.Key$", name)):
                keys[f"aws:RequestTag/{key}"] = call.get(f"Tag.{number}.Value", "")
            for id in values(r"ResourceId\.\d+$"):
                if not id.startswith("i-"):
                    self.ask(f"ec2:{action}", None)
                    continue
                arn = self.arn("ec2", f"instance/{id}")
                self.ask(f"ec2:{action}", arn, keys={**keys, "aws:ARN": arn, **self.instance_tags(backend, id)})
        else:
            self.ask(f"ec2:{action}", None)

    def instance_tags(self, backend, id):
        try:
            return tags_of(backend.get_instance(id).get_tags())
        except Exception:
            # A machine that is not there has no tags, and the call itself says so.
            return {}

    def fleet(self, backend, call):
        """An instant fleet makes its launches with the caller's rights (EC2 User Guide, "EC2 Fleet prerequisites")."""
        fleet_arn = self.arn("ec2", "fleet/*")
        self.ask("ec2:CreateFleet", fleet_arn)
        start = "LaunchTemplateConfigs.1.LaunchTemplateSpecification."
        id, name = call.get(f"{start}LaunchTemplateId"), call.get(f"{start}LaunchTemplateName")
        try:
            template = backend.get_launch_template(id) if id else backend.get_launch_template_by_name(name)
        except Exception:
            # EC2 itself answers that it is not there.
            return
        template_arn, tags = self.arn("ec2", f"launch-template/{template.id}"), tags_of(template.get_tags())
        for action in ("CreateFleet", "RunInstances"):
            self.ask(f"ec2:{action}", template_arn, keys={**tags, "ec2:LaunchTemplate": template_arn})
        content = template.get_version(call.get(f"{start}Version", "$Default")).data
        subnets = {value for key, value in call.items() if re.match(r"LaunchTemplateConfigs\.1\.Overrides\.\d+\.SubnetId$", key)}
        parts = [f"subnet/{one}" for one in sorted(subnets)] or ["subnet/*"]
        parts += [f"security-group/{one}" for one in listed(content.get("SecurityGroupId", content.get("SecurityGroup", [])))]
        parts += ["instance/*", "network-interface/*", "volume/*"]
        parts += [f"key-pair/{content['KeyName']}"] if content.get("KeyName") else []
        for part in parts:
            self.ask("ec2:RunInstances", self.arn("ec2", part), keys={"ec2:LaunchTemplate": template_arn})
        image = content.get("ImageId", "*")
        if name := parameter_of(image):
            # EC2 reads the parameter in the caller's name (EC2 User Guide, "Use a Systems Manager parameter instead of an AMI ID").
            arn, found, tags = self.parameter(name)
            self.ask("ssm:GetParameters", arn, keys={f"aws:ResourceTag/{tag}": value for tag, value in tags.items()})
            image = found.value if found else "*"
        self.ask("ec2:RunInstances", f"arn:aws:ec2:{self.region}::image/{image}", keys={"ec2:LaunchTemplate": template_arn})
        tagged = {value for key, value in call.items() if re.match(r"TagSpecification\.\d+\.ResourceType$", key)}
        tagged |= {one.get("ResourceType") for one in listed(content.get("TagSpecification", content.get("TagSpecifications", [])))}
        if "spot-instances-request" in tagged and call.get("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot":
            # Asked for only when it is tagged (EC2 User Guide, "Work with Spot Instances"). It knows no template: the Service Authorization
            # Reference has no such key for it.
            self.ask("ec2:RunInstances", self.arn("ec2", "spot-instances-request/*"))
        for kind in sorted(kind for kind in tagged if kind and kind != "launch-template"):
            self.ask("ec2:CreateTags", self.arn("ec2", f"{kind}/*"), keys={"ec2:CreateAction": "RunInstances", "ec2:LaunchTemplate": template_arn})
        self.pass_role(content.get("IamInstanceProfile") or {})
        for disk in listed(content.get("BlockDeviceMapping", content.get("BlockDeviceMappings", []))):
            self.disk((disk or {}).get("Ebs") or {})

    def pass_role(self, profile):
        name = profile.get("Name") or (profile.get("Arn") or "").split("/")[-1]
        for one in iam_backends[ACCOUNT]["aws"].instance_profiles.values():
            if one.name == name:
                for role in one.roles:
                    self.ask("iam:PassRole", role.arn, keys={"iam:PassedToService": "ec2.amazonaws.com"})

    def disk(self, disk):
        """EBS takes a customer's key in the name of who launches (EBS User Guide, "Required permissions to use a KMS key")."""
        if not disk.get("KmsKeyId"):
            return
        before, self.all = self.all, []
        for action in ("Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"):
            self.by("ec2", action, disk["KmsKeyId"])
        self.by("ec2", "CreateGrant", disk["KmsKeyId"], **{"kms:GrantIsForAWSResource": "true"})
        self.disks, self.all = self.disks + self.all, before


def asked_for(service, action, region, session, call, resource="*"):
    """The permissions that a call asks for, and those that the disks of what it launches ask for: action, resource (None: only the
    action is checked) and context."""
    asked = Asked(region, session)
    if service == "s3":
        asked.s3(action, resource, call)
    elif service in ("sqs", "dynamodb", "ssm", "kms", "ec2"):
        getattr(asked, service)(action, call)
    else:
        asked.ask(f"{service}:{action}", None)
    return asked.all, asked.disks
