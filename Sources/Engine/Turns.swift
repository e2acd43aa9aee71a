/// Lets one task at a time work on a key, in the order of arrival. Used where a row must be written
/// before memory is changed: a second subscription of the same name waits for the first one's row
/// instead of writing its own.
final class Turns<Key: Hashable & Sendable> {
    private var waiting: [Key: [CheckedContinuation<Void, Never>]] = [:]

    /// Waits for the turn; `release` must follow.
    func take(_ key: Key) async {
        guard self.waiting[key] != nil else {
            self.waiting[key] = []
            return
        }
        await withCheckedContinuation { self.waiting[key]?.append($0) }
    }

    func release(_ key: Key) {
        // Changed in place: a copy of a long queue for each turn would make many turns quadratic.
        guard let isEmpty = self.waiting[key]?.isEmpty else { return }
        if isEmpty {
            self.waiting[key] = nil
        } else {
            self.waiting[key]?.removeFirst().resume()
        }
    }
}
