/* What dormouse_service needs of each turn. */
#ifndef DM_SERVICE_H
#define DM_SERVICE_H

#include "client.h"

/* All of these do nothing while there is no service. */
void dm_service_pump(dormouse *client);
bool dm_service_wants_to_send(const dormouse *client);
/* A Delivery for a stream of ours; not OK, with `failure`, closes the connection. */
dormouse_status dm_service_delivered(void *stream, const uint8_t *bytes, size_t size,
                                     struct dm_failure *failure);
void dm_service_ended(void *stream, const struct dm_failure *failure);
/* The connection is lost, and with it all streams, those that were not sent too when `unsent_too`. */
void dm_service_lost(dormouse *client, const struct dm_failure *failure, bool unsent_too);
bool dm_service_has_due(const dormouse *client);
void dm_service_dispatch(dormouse *client);
/* Calls what is left with NULL, and frees it. */
void dm_service_free(dormouse *client);

#endif
