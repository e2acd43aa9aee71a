import Testing

/// One after the other: they count descriptors and memory of the process.
@Suite(.serialized, .timeLimit(.minutes(2))) struct NetTests {}
