"""Faults 77: a folder that does not keep what SQLite needs is warned of, and used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nuxt_queue.services.sqlite import location
from nuxt_queue.services.sqlite.place import about_layer, about_network

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/export /srv/shared nfs4 rw 0 0
//server/share /srv/with\\040space cifs rw 0 0
user@server: /srv/far fuse.sshfs rw 0 0
/dev/vdb /srv/shared/local ext4 rw 0 0
overlay /srv/layer overlay rw 0 0
tmpfs /srv/twice tmpfs rw 0 0
server:/export /srv/twice nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/srv", None),
        ("/srv/shared", "nfs4"),
        ("/srv/shared/a/b", "nfs4"),
        ("/srv/sharedness", None),
        ("/srv/with space/a", "cifs"),
        ("/srv/far", "fuse.sshfs"),
        ("/srv/shared/local", None),
        ("/srv/layer/a", "overlay"),
        ("/srv/twice", "nfs"),
    ],
)
def test_what_a_folder_is_on_is_known_before_it_is_there(
    tmp_path: Path, directory: str, kind: str | None
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)

    doubt = about_network(Path(directory), mounts) or about_layer(Path(directory), mounts)

    if kind is None:
        assert doubt is None
    else:
        assert doubt is not None
        assert f"({kind})" in doubt[0]


def test_a_network_file_system_is_warned_of_by_whatever_opens_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "about_network", lambda _directory: ("is on nfs4", "do not"))

    location.prepare_directory(tmp_path)

    assert caplog.messages == [f"{tmp_path} is on nfs4; do not"]


def test_where_mounts_cannot_be_listed_nothing_is_doubted(tmp_path: Path) -> None:
    assert about_network(tmp_path, tmp_path / "mounts") is None
    assert about_layer(tmp_path, tmp_path / "mounts") is None


def test_a_real_layer_of_a_container_works_and_the_doctor_says_what_it_is(tmp_path: Path) -> None:
    """In a mount namespace of its own, so that any user may mount and nothing is left mounted."""
    mount = (
        "mkdir lower base merged && mount -t tmpfs base base && mkdir base/upper base/work"
        " && mount -t overlay -o lowerdir=lower,upperdir=base/upper,workdir=base/work o merged"
    )
    nq = f"{sys.executable} -m nuxt_queue.cli"
    talk = f"{nq} jobs --data-dir merged/jobs; {nq} doctor --data-dir merged/jobs"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", f"{mount}\n{talk}"]

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert "overlay" not in done.stderr  # not with every command
    said = " ".join(done.stdout.split())
    assert "merged/jobs is in a container's own layer (overlay)" in said
    assert "use a folder on a volume" in said
