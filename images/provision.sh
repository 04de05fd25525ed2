#!/bin/bash
# What the user data would install when a machine boots, and what $PACKAGES names; then nothing that is of the building machine.
set -euo pipefail

# The user data looks for these and installs what is not there.
needed=(rsyslog libicu tar gzip docker amazon-cloudwatch-agent)
read -r -a more <<<"${PACKAGES:-}"

for try in 1 2 3 4 5; do
  dnf upgrade -y -q && dnf install -y -q "${needed[@]}" "${more[@]}" && break
  if [ "$try" = 5 ]; then
    echo "the packages could not be installed: ${needed[*]} ${more[*]}" >&2
    exit 1
  fi
  sleep $((try * 5))
done
systemctl enable rsyslog docker

# Every machine makes its own: host keys, machine id, cloud-init's memory, the key that Packer came in with.
dnf clean all
cloud-init clean --logs
truncate -s 0 /etc/machine-id
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f ~root/.ssh/authorized_keys ~ec2-user/.ssh/authorized_keys
sync
