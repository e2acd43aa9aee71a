#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What the system says of this process; 0 where it says nothing. Source: proc(5), getrusage(2).
struct ProcessMetrics: Sendable {
    var residentBytes = 0
    var openDescriptors = 0
    var descriptorsMax = 0
    var threads = 0
    var cpuSeconds = 0.0

    static func now() -> ProcessMetrics {
        var metrics = ProcessMetrics()
        var usage = rusage()
        // RUSAGE_SELF.
        if getrusage(Self.ourselves, &usage) == 0 {
            metrics.cpuSeconds = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
        }
        var limit = rlimit()
        if getrlimit(Self.descriptors, &limit) == 0 {
            metrics.descriptorsMax = Int(clamping: limit.rlim_cur)
        }
        // Pages: all, resident.
        let pages = Self.text("/proc/self/statm").split(separator: " ")
        metrics.residentBytes =
            pages.dropFirst().first.flatMap { Int($0) }.map { $0 * Int(getpagesize()) } ?? 0
        // After the name, which may hold anything, the 18th field is the number of threads.
        let fields =
            Self.text("/proc/self/stat").split(separator: ")").last?.split(separator: " ") ?? []
        metrics.threads = fields.count > 17 ? Int(fields[17]) ?? 0 : 0
        if let folder = opendir("/proc/self/fd") {
            // Not those of the folder itself: ".", ".." and the one that reads it.
            var count = -3
            while readdir(folder) != nil { count += 1 }
            closedir(folder)
            metrics.openDescriptors = max(0, count)
        }
        return metrics
    }

    #if canImport(Darwin)
        private static let ourselves = RUSAGE_SELF
        private static let descriptors = RLIMIT_NOFILE
    #else
        private static let ourselves = RUSAGE_SELF.rawValue
        private static let descriptors = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #endif

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000
    }

    private static func text(_ path: String) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
