#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

@main
struct Main {
    static func main() {
        // The module has the name of the standard library's type.
        exit(Program.run(Array(Swift.CommandLine.arguments.dropFirst())).rawValue)
    }
}
