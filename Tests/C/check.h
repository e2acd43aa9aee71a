/* A tiny assert for the C tests: says what failed and where, and ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                        \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);           \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

/* A call that must give this status; prints the handle's text when it does not. */
#define CHECK_STATUS(client, call, expected)                                                    \
    do {                                                                                        \
        dormouse_status found_ = (call);                                                        \
        if (found_ != (expected)) {                                                             \
            fprintf(stderr, "%s:%d: %s is %s, expected %s: %s\n", __FILE__, __LINE__, #call,    \
                    dormouse_status_text(found_), dormouse_status_text(expected),               \
                    dormouse_error(client));                                                    \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

#define TEST(name)                                   \
    do {                                             \
        printf("  %s\n", #name);                     \
        fflush(stdout);                              \
        name();                                      \
    } while (0)

#endif
