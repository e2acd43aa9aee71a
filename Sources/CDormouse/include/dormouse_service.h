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
 * 3. Closures are called as callbacks are: inside dormouse_process and functions that wait. Only when a request can
 *    not even be queued (not connected, too large, no memory) is the closure called with NULL before the
 *    stub returns; and dormouse_free calls those that are left.
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
 * The number that Acknowledge and Grant want in `stream`: inside a closure of Subscribe that of its subscription,
 * else that of the one subscribed last; 0 when it was not sent yet.
 */
DORMOUSE_API uint32_t dormouse_service_stream(const ProtobufCService *service);
/* Ends a subscription: its closure is called with NULL. Its name falls asleep. */
DORMOUSE_API void dormouse_service_cancel(ProtobufCService *service, uint32_t stream);

#ifdef __cplusplus
}
#endif

#endif
