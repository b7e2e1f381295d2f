"""A real terminal: tmux runs a command in it, takes keys and reads the screen."""
import os
import re
import subprocess

from processes import wait_until

# Nothing of the caller's own that psql or sluicectl would look at.
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "SLUICE_CONFIG"}


class Screen:
    """A terminal of tmux's with one command in it."""

    def __init__(self, folder, command, columns=80, rows=24, env=None):
        self.base = ["tmux", "-f", "/dev/null", "-S", f"{folder}/tmux"]
        environment = " ".join(f"{k}='{v}'" for k, v in (env or {}).items())
        shell = f"env -u TMUX {environment} bash --norc"
        subprocess.run([*self.base, "new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", "t", shell], check=True, env=dict(CLEAN, LANG="C.UTF-8"))
        wait_until(lambda: "$" in self.text() or "#" in self.text(), "the shell")
        self.keys("PS1='done:$? > '; clear", "Enter")
        wait_until(lambda: self.text().startswith("done:0 >"), self.text)
        self.keys(command, "Enter")

    def keys(self, *keys):
        subprocess.run([*self.base, "send-keys", "-t", "t", *keys], check=True)

    def text(self, with_colours=False):
        return subprocess.run([*self.base, "capture-pane", "-p", *(["-e"] if with_colours else []), "-t", "t"], check=True, capture_output=True, text=True).stdout

    def resize(self, columns, rows):
        subprocess.run([*self.base, "resize-window", "-t", "t", "-x", str(columns), "-y", str(rows)], check=True)

    def wait(self, *texts):
        wait_until(lambda: all(t in self.text() for t in texts), lambda: f"{texts} on the screen:\n{self.text()}")

    def ended(self, status):
        """The shell is back, and the terminal works as before."""
        self.wait(f"done:{status} >")
        self.keys("clear; stty -a | grep -o ' -\\?echo ' ; tput cols", "Enter")
        wait_until(lambda: re.search(r"^ echo $", self.text() + " ", re.M) or " echo" in self.text().split("\n"), lambda: f"echo to be on:\n{self.text()}")

    def child(self):
        """The process id of what runs in the shell."""
        pane = subprocess.run([*self.base, "display-message", "-p", "-t", "t", "#{pane_pid}"], capture_output=True, text=True, check=True).stdout.strip()
        return int(open(f"/proc/{pane}/task/{pane}/children").read().split()[0])

    def close(self):
        subprocess.run([*self.base, "kill-server"], capture_output=True)
