/* sluicebench-relay: the cheapest proxy there can be, as a floor to measure poolers against. Each client gets a server
   connection of its own; bytes are copied both ways, no message is looked at.

   Usage: sluicebench-relay LISTEN_PORT SERVER_PORT        (loopback only)

   One level-triggered epoll, one recv and one send for each piece. A socket that is full is waited for: what costs is
   to be seen in the figures, and this costs nothing where answers are small. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_DESCRIPTORS = 65536, PIECE = 131072, BATCH = 512 };

static int other_end[MAX_DESCRIPTORS]; /* 0: not open */
static char piece[PIECE];

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int watch(int epoll, int descriptor) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

static void hang_up(int descriptor) {
  int other = other_end[descriptor];
  close(descriptor);
  close(other);
  other_end[descriptor] = other_end[other] = 0;
}

static void welcome(int epoll, int listener, const struct sockaddr_in *server_address) {
  int one = 1, client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (client < 0) return;
  int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server < 0 || client >= MAX_DESCRIPTORS || server >= MAX_DESCRIPTORS ||
      connect(server, (const struct sockaddr *)server_address, sizeof *server_address)) {
    close(client);
    if (server >= 0) close(server);
    return;
  }
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  other_end[client] = server;
  other_end[server] = client;
  if (watch(epoll, client) || watch(epoll, server)) hang_up(client);
}

/* All of it, or -1. */
static int send_all(int descriptor, const char *bytes, size_t left) {
  while (left) {
    ssize_t sent = send(descriptor, bytes, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno != EAGAIN) return -1;
      struct pollfd room = {.fd = descriptor, .events = POLLOUT};
      if (poll(&room, 1, 10000) <= 0) return -1; /* nobody reads there: do not hold up the others for ever */
      continue;
    }
    bytes += sent;
    left -= (size_t)sent;
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: sluicebench-relay LISTEN_PORT SERVER_PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  struct sockaddr_in here = loopback(arguments[1]), there = loopback(arguments[2]);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096) || watch(epoll, listener)) {
    fprintf(stderr, "sluicebench-relay: cannot listen on 127.0.0.1:%s: %s\n", arguments[1], strerror(errno));
    return 1;
  }
  struct epoll_event ready[BATCH];
  for (;;) {
    int events = epoll_wait(epoll, ready, BATCH, -1);
    for (int i = 0; i < events; i++) {
      int descriptor = ready[i].data.fd;
      if (descriptor == listener) {
        welcome(epoll, listener, &there);
        continue;
      }
      if (!other_end[descriptor]) continue; /* closed earlier in this batch */
      ssize_t received = recv(descriptor, piece, PIECE, MSG_DONTWAIT);
      if (received < 0 && errno == EAGAIN) continue; /* closed and opened anew in this batch */
      if (received <= 0 || send_all(other_end[descriptor], piece, (size_t)received)) hang_up(descriptor);
    }
  }
}
