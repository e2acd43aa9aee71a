import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The seeds of a random test: 1 to `count`, or only the one in the environment variable
/// CORE_SEED, to repeat a run that failed.
func seeds(_ count: UInt64) -> [UInt64] {
    if let value = getenv("CORE_SEED"), let seed = UInt64(String(cString: value)) { return [seed] }
    return Array(1...count)
}

/// Fails the test with the seed and what is wrong; the first problem of a seed says it all.
func report(_ problem: String?, seed: UInt64) {
    guard let problem else { return }
    Issue.record("CORE_SEED=\(seed): \(problem)")
}
