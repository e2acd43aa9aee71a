/// The keys of log entries, all of them: one word per thing, so that one search finds it
/// everywhere. No key exists for payloads, tokens or SQL.
package enum LogKey: String, Hashable, Sendable, CaseIterable {
    case address
    case application
    case bytes
    case client
    case code
    case connection
    case count
    case database
    case duplicates
    case epoch
    case error
    case event
    case exchange
    case file
    case head
    case host
    case hours
    case incarnation
    case level
    case limit
    case milliseconds
    case name
    case owner
    case path
    case peer
    case port
    case position
    case principal
    case process
    case producer
    case reason
    case receiver
    case request
    case row
    case signal
    case source
    case status
    case stream
    case subscriber
    case underlying
    case user
    case version
}
