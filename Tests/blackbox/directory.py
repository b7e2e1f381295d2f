"""A directory server (OpenLDAP's slapd) of one test, with people in it; and one that never answers."""
import os
import socket
import subprocess
import threading

from processes import free_port, give, listening, start, wait_until

ADMIN = "cn=admin,dc=example,dc=net"
ADMIN_PASSWORD = "admin-pw"
PEOPLE = "ou=people,dc=example,dc=net"


class Directory:
    """People: {uid: password}. Their names are uid=...,ou=people,dc=example,dc=net."""

    def __init__(self, run_folder, people, tls=None):
        self.folder, self.port = run_folder.folder("slapd"), free_port()
        self.tls_port = free_port() if tls else None
        os.mkdir(f"{self.folder}/data")
        give(f"{self.folder}/data")
        lines = [
            "include /etc/ldap/schema/core.schema",
            "include /etc/ldap/schema/cosine.schema",
            "include /etc/ldap/schema/inetorgperson.schema",
            "modulepath /usr/lib/ldap",
            "moduleload back_mdb",
        ]
        if tls:
            lines += [f"TLSCertificateFile {tls[0]}", f"TLSCertificateKeyFile {tls[1]}"]
        lines += [
            "database mdb",
            'suffix "dc=example,dc=net"',
            f'rootdn "{ADMIN}"',
            f"rootpw {ADMIN_PASSWORD}",
            f"directory {self.folder}/data",
            "maxsize 10485760",
            # nobody finds anything without saying who he is
            'access to attrs=userPassword by anonymous auth by * none',
            "access to * by users read by anonymous auth",
        ]
        self._write("slapd.conf", "\n".join(lines) + "\n")
        entries = ["dn: dc=example,dc=net\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n", f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n"]
        for uid, password in people.items():
            entries.append(f"dn: uid={uid},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\nmail: {uid}@example.net\nuserPassword: {password}\n")
        self._write("people.ldif", "\n".join(entries))
        log = open(f"{self.folder}/slapd.log", "a")
        give(f"{self.folder}/slapd.log")
        assert start(["/usr/sbin/slapadd", "-f", f"{self.folder}/slapd.conf", "-l", f"{self.folder}/people.ldif"], stdout=log, stderr=log).wait(60) == 0, self.log()
        uris = f"ldap://127.0.0.1:{self.port}/" + (f" ldaps://127.0.0.1:{self.tls_port}/" if tls else "")
        self.process = start(["/usr/sbin/slapd", "-f", f"{self.folder}/slapd.conf", "-h", uris, "-d", "0"], stdout=log, stderr=log)
        log.close()
        wait_until(lambda: listening(self.port), lambda: f"slapd to listen:\n{self.log()}")

    def _write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as f:
            f.write(text)
        give(f"{self.folder}/{name}")

    def log(self):
        with open(f"{self.folder}/slapd.log", errors="replace") as f:
            return f.read()

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class SilentServer:
    """Takes connections and never says a word."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port, self.taken = self.socket.getsockname()[1], []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                self.taken.append(self.socket.accept()[0])
            except OSError:
                return

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        for s in self.taken:
            s.close()
