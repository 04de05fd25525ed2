"""What EC2 answers to CreateFleet that moto does not: configurations that it refuses, and subnets without free addresses."""

import re

import policies
from moto import backends

# "Your request contains more than the maximum allowed number of InstanceRequirements (4)".
REQUIREMENTS_MAX = 4


def fleet_refusal(parameters):
    """Code and message of EC2 for a fleet whose configuration it does not take (github-aws-runners #2904, osbuild-composer #3946)."""
    overrides = {}
    for name, value in parameters.items():
        if match := re.match(r"LaunchTemplateConfigs\.(\d+)\.Overrides\.(\d+)\.(\w+)", name):
            overrides.setdefault(match.groups()[:2], {})[match.group(3)] = value
    choices = [one for one in overrides.values() if "InstanceRequirements" in one]
    if len(choices) > REQUIREMENTS_MAX:
        return "InvalidParameterValue", f"Your request contains more than the maximum allowed number of InstanceRequirements ({REQUIREMENTS_MAX})"
    # A pool is a type in a zone: two subnets of a zone are the same one twice.
    pools = [(zone_of(one), one.get("InstanceType", "")) for one in overrides.values()]
    if len(set(pools)) < len(pools):
        return "InvalidFleetConfig", "The fleet configuration contains duplicate instance pools."
    return None


def overrides_of(parameters):
    """What each override of a fleet's first template says, by the start of its parameters' names."""
    found = {}
    for name, value in parameters.items():
        if match := re.match(r"(LaunchTemplateConfigs\.1\.Overrides\.\d+\.)(\w+)", name):
            found.setdefault(match.group(1), {})[match.group(2)] = value
    return found


def without_full_subnets(parameters):
    """The call without the overrides whose subnets have not an address for each machine, and EC2's errors for those. EC2 says
    "InsufficientFreeAddressesInSubnet" in an answer that is otherwise a success; that such a subnet gets none at all is stricter."""
    wanted = int(parameters.get("TargetCapacitySpecification.TotalTargetCapacity", 1))
    errors = []
    for start, override in overrides_of(parameters).items():
        subnet = subnet_of(override)
        if subnet and subnet.available_ip_address_count < wanted:
            parameters = {name: value for name, value in parameters.items() if not name.startswith(start)}
            errors.append(
                "<item><errorCode>InsufficientFreeAddressesInSubnet</errorCode><errorMessage>There are not enough free addresses in subnet"
                f" '{subnet.id}' to satisfy the requested number of instances.</errorMessage><launchTemplateAndOverrides><overrides>"
                f"<subnetId>{subnet.id}</subnetId></overrides></launchTemplateAndOverrides></item>"
            )
    return parameters, errors


def fleet_answer(errors):
    """A fleet without machines."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><CreateFleetResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>emulator'
        f"</requestId><fleetId>fleet-00000000-0000-0000-0000-000000000000</fleetId><errorSet>{''.join(errors)}</errorSet>"
        "<fleetInstanceSet/></CreateFleetResponse>"
    ).encode()
    return "200 OK", [("Content-Type", "text/xml"), ("Content-Length", str(len(text)))], text


def subnet_of(override):
    for region in backends.get_backend("ec2")[policies.ACCOUNT].values():
        for subnets in region.subnets.values():
            if override.get("SubnetId") in subnets:
                return subnets[override["SubnetId"]]
    return None


def zone_of(override):
    if subnet := subnet_of(override):
        return subnet.availability_zone
    return override.get("AvailabilityZone", override.get("SubnetId", ""))
