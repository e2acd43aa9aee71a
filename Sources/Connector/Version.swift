/// The version of this source tree.
enum Version {
    static let text = "0.1.0"
}
