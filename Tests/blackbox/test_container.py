"""Config/docker without an engine: everything that the Dockerfile and the compose file name has to exist and to fit together."""
import os
import re
import shlex
import shutil
import subprocess

import pytest
import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
DOCKER = f"{ROOT}/Config/docker"

pytestmark = pytest.mark.sluice_only("looks at files of this tree")


def instructions():
    """(name, arguments) of each instruction of the Dockerfile, stage by stage."""
    with open(f"{DOCKER}/Dockerfile") as f:
        text = re.sub(r"(?m)^\s*#.*\n", "", f.read()).replace("\\\n", " ")
    stages = []
    for line in text.splitlines():
        if not line.strip():
            continue
        name, rest = line.split(None, 1)
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, rest.strip()))
    return stages


def copied(stage):
    """(sources, target) of the COPYs out of the build context."""
    for name, rest in stage:
        words = shlex.split(rest)
        if name == "COPY" and not words[0].startswith("--from"):
            yield words[:-1], words[-1]


def test_every_source_exists():
    build, _ = instructions()
    for sources, _ in copied(build):
        for source in sources:
            assert os.path.exists(f"{ROOT}/{source}"), source


def test_what_is_copied_is_a_whole_package(tmp_path):
    """The manifest names folders outside of Sources; without one of them SwiftPM builds nothing at all."""
    build, _ = instructions()
    for sources, target in copied(build):
        for source in sources:
            goal = tmp_path / target / (os.path.basename(source) if target.endswith("/") else "")
            if os.path.isdir(f"{ROOT}/{source}"):
                shutil.copytree(f"{ROOT}/{source}", goal, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".build*"))
            else:
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(f"{ROOT}/{source}", goal)
    done = subprocess.run(["swift", "package", "--package-path", str(tmp_path), "--disable-sandbox", "describe"], capture_output=True, text=True)
    assert done.returncode == 0 and "Name: sluicectl" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    # The packages that the build stage installs come from lists in the tree.
    words = " ".join(rest for name, rest in build if name == "RUN")
    assert "sed -s '/^#/d; s/ .*//' scripts/packages/build scripts/packages/deb" in words


def test_the_image_has_what_the_package_names():
    """The package's Depends come from the programs (dpkg-shlibdeps), and make test-deb installs it in a Debian that has nothing else."""
    build, image = instructions()
    assert build[-1] == ("RUN", "SLUICE_REVISION=$REVISION make deb") and dict(build)["WORKDIR"] == "/source"
    copies = [shlex.split(rest) for name, rest in image if name == "COPY"]
    assert copies[0] == ["--from=build", "/source/.build-deb/sluice_*.deb", "/tmp/"]
    run = next(rest for name, rest in image if name == "RUN")
    assert re.search(r"apt-get install .*--no-install-recommends ca-certificates /tmp/sluice_\*\.deb", run)
    with open(f"{ROOT}/scripts/deb.sh") as f:
        assert "package=$out/sluice_${version}_$architecture.deb" in f.read()
    # what the entrypoint finds is what somebody mounts
    assert re.search(r"rm -rf .* /etc/sluice/\*", run)


def test_the_image_runs_what_it_has():
    build, image = instructions()
    by_name = dict(image)
    assert any(name == "FROM" and rest.endswith(" AS build") for name, rest in build)
    copies = [shlex.split(rest) for name, rest in image if name == "COPY"]
    assert copies[1:] == [["Config/docker/entrypoint.sh", "/usr/local/bin/sluice-entrypoint"]]
    assert os.access(f"{DOCKER}/entrypoint.sh", os.X_OK)
    names = [name for name, _ in image]
    assert names.index("RUN") < names.index("USER") and by_name["USER"] == "sluice"
    with open(f"{ROOT}/Config/debian/postinst") as f:
        assert re.search(r"adduser --system .* sluice$", f.read(), re.M)
    assert by_name["ENTRYPOINT"] == '["sluice-entrypoint"]' and "CMD" not in by_name
    check = yaml.safe_load(by_name["HEALTHCHECK"][by_name["HEALTHCHECK"].index("[") :])
    assert check == ["sluice-entrypoint", "health"]
    assert by_name["STOPSIGNAL"] == "SIGINT"


def ini():
    with open(f"{DOCKER}/sluice.ini") as f:
        return dict(re.findall(r"(?m)^(\w+)\s*=\s*(.*)$", f.read()))


def test_compose_names_what_there_is(kind, tmp_path):
    with open(f"{DOCKER}/compose.yml") as f:
        compose = yaml.safe_load(f)
    services, settings = compose["services"], ini()
    assert set(services) == {"postgres", "sluice", "prometheus", "grafana"}
    for name, service in services.items():
        assert ("image" in service) != ("build" in service), name
        assert set(service) <= {"image", "build", "environment", "healthcheck", "depends_on", "volumes", "ports", "ulimits", "configs"}, name
        for volume in service.get("volumes", []):
            source, target, mode = volume.split(":")
            assert os.path.exists(os.path.join(DOCKER, source)), volume
            assert os.path.isabs(target) and mode == "ro", volume
        for port in service.get("ports", []):
            address, outside, inside = port.split(":")
            assert address == "127.0.0.1" and outside == inside, port
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"} and "healthcheck" in services[other]
        for entry in service.get("configs", []):
            assert entry["source"] in compose["configs"]
    build = services["sluice"]["build"]
    assert os.path.realpath(os.path.join(DOCKER, build["context"])) == ROOT
    assert os.path.samefile(os.path.join(ROOT, build["dockerfile"]), f"{DOCKER}/Dockerfile")
    # Ports: of the ini file, of what is published, of what is exposed, of who connects there.
    port, metrics = settings["listen_port"], settings["metrics_listen"].split(":")[1]
    assert {p.split(":")[2] for p in services["sluice"]["ports"]} == {port, metrics} == set(dict(instructions()[1])["EXPOSE"].split())
    assert f"host=postgres port=5432 dbname={services['postgres']['environment']['POSTGRES_DB']}" in settings["app"]
    mounts = {v.split(":")[1]: v.split(":")[0] for v in services["sluice"]["volumes"]}
    assert set(mounts) == {"/etc/sluice/sluice.ini", settings["auth_file"]}
    with open(os.path.join(DOCKER, mounts[settings["auth_file"]])) as f:
        assert f.read().split() == [f'"{services["postgres"]["environment"][key]}"' for key in ("POSTGRES_USER", "POSTGRES_PASSWORD")]
    assert settings["admin_users"] == services["postgres"]["environment"]["POSTGRES_USER"]
    # Prometheus reads its configuration, with the rules beside it as they are mounted.
    prometheus = yaml.safe_load(compose["configs"]["prometheus"]["content"])
    assert prometheus["scrape_configs"][0]["static_configs"] == [{"targets": [f"sluice:{metrics}"]}]
    entry = services["prometheus"]["configs"][0]
    for volume in services["prometheus"]["volumes"]:
        source, target, _ = volume.split(":")
        assert os.path.dirname(target) == os.path.dirname(entry["target"])
        shutil.copy(os.path.join(DOCKER, source), tmp_path / os.path.basename(target))
    (tmp_path / "prometheus.yml").write_text(compose["configs"]["prometheus"]["content"])
    done = subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "1 rule files found" in done.stdout, done.stdout + done.stderr
    # Grafana: the data source is Prometheus's port, the dashboard lies where the provider looks.
    with open(f"{ROOT}/Config/grafana/provisioning/datasources/prometheus.yml") as f:
        assert yaml.safe_load(f)["datasources"][0]["url"] == "http://prometheus:" + services["prometheus"]["ports"][0].split(":")[2]
    with open(f"{ROOT}/Config/grafana/provisioning/dashboards/sluice.yml") as f:
        folder = yaml.safe_load(f)["providers"][0]["options"]["path"]
    dashboards = [v.split(":")[1] for v in services["grafana"]["volumes"] if v.split(":")[1].endswith(".json")]
    assert [os.path.dirname(d) for d in dashboards] == [folder]
    assert services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == dashboards[0]


def test_the_pooler_takes_the_ini_file(kind, tmp_path):
    with open(f"{DOCKER}/sluice.ini") as f:
        text = f.read().replace("/etc/sluice/userlist.txt", f"{DOCKER}/userlist.txt")
    (tmp_path / "sluice.ini").write_text(text)
    done = subprocess.run([f"{os.path.dirname(kind.path)}/sluicectl", "config", "check", "--strict", str(tmp_path / "sluice.ini")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
