#!/usr/bin/env bash
# Makes .venv-tests, the Python of the black-box tests, from Tests/blackbox/requirements.txt. Again only when that changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=Tests/blackbox/requirements.txt
if cmp -s "$wanted" .venv-tests/requirements.txt; then exit 0; fi

python3 -c 'import ensurepip, venv' 2>/dev/null || scripts/install.sh venv
rm -rf .venv-tests
python3 -m venv .venv-tests
echo '*' >.venv-tests/.gitignore
.venv-tests/bin/pip install --quiet --disable-pip-version-check --requirement "$wanted"
cp "$wanted" .venv-tests/requirements.txt # last: an interrupted run starts again
