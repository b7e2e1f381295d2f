/* Six processes for each case, every one with its own connection and its own number, which every row must carry. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNECTIONS = 6, ROUNDS = 150 };

static const char *current_case = "start";
static int current_who;

static void __attribute__((format(printf, 1, 2), noreturn)) die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "FAILED %s, connection %d: ", current_case, current_who);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    _exit(1);
}

static void in_processes(const char *name, void (*work)(int who)) {
    pid_t children[CONNECTIONS];
    int failed = 0;
    current_case = name;
    fflush(NULL);
    for (int i = 0; i < CONNECTIONS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            current_who = i + 1;
            work(i + 1);
            fflush(NULL);
            _exit(0);
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        int status;
        waitpid(children[i], &status, 0);
        failed |= status;
    }
    if (failed) exit(1);
    printf("ok %s\n", name);
    fflush(stdout);
}
