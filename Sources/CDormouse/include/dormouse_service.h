/*
 * The same server through stubs that protoc-c makes of dormouse.proto, which is installed with this library:
 *
 *     protoc-c --c_out=. --proto_path=/usr/local/share/dormouse dormouse.proto
 *
 *     ProtobufCService *service = dormouse_service(client);
 *     dormouse__v1__dormouse__publish(service, &request, on_reply, &reply);
 *     dormouse_wait_for(client, &reply.is_done, 5000);
 *
 * 1. A stub sends its request and returns; the handle reconnects, but what was under way fails then.
 * 2. A closure is called once, with the reply or, when there is none, with NULL; dormouse_error says why. That of
 *    Subscribe is called for each Delivery, and once more with NULL at the end. Messages are valid until
 *    the closure returns.
 * 3. Closures are called as callbacks are: inside dormouse_process and functions that wait, and may call what these
 *    may. Only when a request can not even be queued (dormouse_connect was not called or has given up, too
 *    large, no memory) is the closure called with NULL before the stub returns. dormouse_flush and
 *    dormouse_close wait for replies, too; dormouse_close and dormouse_free call what is left with NULL.
 *    A subscription lasts from its first Delivery, which may have no events; before it, and among requests that are not
 *    answered yet, no order is promised.
 * 4. What dormouse_publish and dormouse_subscribe do besides (batches, sequences, credit, resuming after a break,
 *    joining of deliveries) is up to you here: see protocol.md. The library has said Hello already.
 */
#ifndef DORMOUSE_SERVICE_H
#define DORMOUSE_SERVICE_H

#include <dormouse.h>
#include <protobuf-c/protobuf-c.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In your program: protoc-c makes it, and its stubs want to see just this one. */
extern const ProtobufCServiceDescriptor dormouse__v1__dormouse__descriptor;

/*
 * The handle as a service; the handle's, valid until dormouse_free. The same for the same descriptor. NULL, with
 * dormouse_error, without memory or when the descriptor is another service's.
 */
DORMOUSE_API ProtobufCService *dormouse_service_for(dormouse *client,
                                                    const ProtobufCServiceDescriptor *descriptor);

static inline ProtobufCService *dormouse_service(dormouse *client)
{
    return dormouse_service_for(client, &dormouse__v1__dormouse__descriptor);
}

/*
 * The number that Acknowledge and Grant want in `stream`: inside a closure of Subscribe that of its subscription, else
 * that of the one subscribed last, from the moment the stub returned; 0 when there is none. It is this library's, is
 * never given twice by a handle, and only requests through `service` understand it. When its subscription is over,
 * their closures get NULL (DORMOUSE_BAD_ARGUMENT) and nothing is sent.
 */
DORMOUSE_API uint32_t dormouse_service_stream(const ProtobufCService *service);
/* Ends a subscription: its closure is called with NULL (DORMOUSE_CANCELLED), not before this returns. Its name falls
 * asleep. Nothing happens when it is over already. */
DORMOUSE_API void dormouse_service_cancel(ProtobufCService *service, uint32_t stream);

#ifdef __cplusplus
}
#endif

#endif
