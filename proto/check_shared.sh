#!/bin/sh
# Compares a descriptor set with the table of CRI wire facts that may lie in a
# directory "shared" beside the project. 77 (skipped) when there is none.
# usage: check_shared.sh PROJECT_ROOT DESCRIPTOR_SET
shared=$1/../shared
if [ ! -f "$shared/check_wire.py" ] || [ ! -f "$shared/cri-v1-wire.tsv" ]; then
  echo "skipped: no check_wire.py and cri-v1-wire.tsv in $shared"
  exit 77
fi
exec /usr/bin/python3 "$shared/check_wire.py" "$2" "$shared/cri-v1-wire.tsv" \
  --enum-prefix Signal=SIGNAL_
