// Runs a program under the system call filters that systemd makes of a hardened unit, where there is no systemd to do
// it: SystemCallFilter= with SystemCallErrorNumber=EPERM, MemoryDenyWriteExecute=, RestrictAddressFamilies=,
// RestrictRealtime=, RestrictNamespaces=, LockPersonality=, NoNewPrivileges=.
//
//   confine ALLOWED PROGRAM [ARGUMENT...]        ALLOWED: a file with one name of a system call a line
//
// Source of each rule: systemd 252, src/shared/seccomp-util.c.
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITE_EXECUTE (PROT_WRITE | PROT_EXEC)
// Source: clone(2); <sched.h> shows them to _GNU_SOURCE only.
#define NAMESPACES 0x7E020080UL

static int deny(scmp_filter_ctx filter, const char *name, int error, unsigned count,
                struct scmp_arg_cmp argument) {
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return 0;
    int code = count == 0 ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 0)
                          : seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 1, argument);
    return code == -EACCES ? 0 : code; // the default already is what we ask for
}

static int load(scmp_filter_ctx filter) {
    int code = filter == NULL ? -ENOMEM : seccomp_load(filter);
    if (filter != NULL) seccomp_release(filter);
    return code;
}

/// Only these system calls exist.
static int allow(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return -errno;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    char name[128];
    while (filter != NULL && fgets(name, sizeof name, file) != NULL) {
        name[strcspn(name, "\n")] = 0;
        int number = seccomp_syscall_resolve_name(name);
        if (number == __NR_SCMP_ERROR) continue; // of another processor
        int code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
        if (code != 0 && code != -EDOM && code != -EEXIST) fprintf(stderr, "confine: %s: %d\n", name, code);
    }
    fclose(file);
    return load(filter);
}

/// What a filter of arguments forbids.
static int restrict_arguments(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) return -ENOMEM;
    struct scmp_arg_cmp none = {0};
    int code = 0;
    code |= deny(filter, "mmap", EPERM, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, WRITE_EXECUTE, WRITE_EXECUTE));
    code |= deny(filter, "mprotect", EPERM, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    code |= deny(filter, "pkey_mprotect", EPERM, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    for (uint64_t policy = 1; policy <= 6; policy++) {
        // SCHED_OTHER 0, SCHED_BATCH 3 and SCHED_IDLE 5 are no real time.
        if (policy == 3 || policy == 5) continue;
        code |= deny(filter, "sched_setscheduler", EPERM, 1, SCMP_A1(SCMP_CMP_EQ, policy));
    }
    for (uint64_t family = 0; family < 46; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6) continue;
        code |= deny(filter, "socket", EAFNOSUPPORT, 1, SCMP_A0(SCMP_CMP_EQ, family));
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        uint64_t flag = UINT64_C(1) << bit;
        if ((NAMESPACES & flag) == 0) continue;
        code |= deny(filter, "clone", EPERM, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
        code |= deny(filter, "unshare", EPERM, 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
    }
    code |= deny(filter, "clone3", ENOSYS, 0, none);
    code |= deny(filter, "setns", EPERM, 0, none);
    code |= deny(filter, "personality", EPERM, 1, SCMP_A0(SCMP_CMP_NE, 0));
    if (code != 0) return code;
    return load(filter);
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: confine ALLOWED PROGRAM [ARGUMENT...]\n");
        return 64;
    }
    // Arguments first: afterwards the call that loads filters may be forbidden.
    int code = restrict_arguments();
    if (code == 0) code = allow(arguments[1]);
    if (code != 0) {
        fprintf(stderr, "confine: the filters cannot be loaded: %s\n", strerror(-code));
        return 71;
    }
    execv(arguments[2], arguments + 2);
    fprintf(stderr, "confine: %s: %s\n", arguments[2], strerror(errno));
    return 71;
}
