#!/usr/bin/env bash
# Makes .build-drivers/python, with Django for `make test-drivers`, from Tests/drivers/requirements.txt. Again only when that changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=Tests/drivers/requirements.txt
environment=.build-drivers/python
if cmp -s "$wanted" $environment/requirements.txt; then exit 0; fi

python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/install.sh venv
rm -rf $environment
mkdir -p .build-drivers
python3 -m venv $environment
$environment/bin/pip install --quiet --disable-pip-version-check --requirement "$wanted"
cp "$wanted" $environment/requirements.txt # last: an interrupted run starts again
