/* URIs and options: any text is taken or refused with a message. */
#include "options.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, bytes, size);
    text[size] = '\0';
    struct dm_options options;
    struct dm_failure failure;
    dm_options_init(&options);
    dm_fail_clear(&failure);
    if (dm_options_set_uri(&options, text, &failure) != DORMOUSE_OK && failure.text[0] == '\0')
        abort();
    char *value = strchr(text, '=');
    if (value != NULL) {
        *value = '\0';
        dm_options_set(&options, text, value + 1, &failure);
    }
    dm_options_free(&options);
    free(text);
    return 0;
}
