#pragma once
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

/* recv(2) and send(2) as plain system calls: libc's functions are cancellation points, which costs two atomic operations a call in a
   process with several threads, and nobody cancels threads here. Swift can't call the variadic syscall(2) itself. */
static inline ssize_t plain_recv(int descriptor, void *buffer, size_t size) {
  return syscall(SYS_recvfrom, descriptor, buffer, size, 0, 0, 0);
}
static inline ssize_t plain_send(int descriptor, const void *buffer, size_t size) {
  return syscall(SYS_sendto, descriptor, buffer, size, MSG_NOSIGNAL, 0, 0);
}
