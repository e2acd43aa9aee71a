/// Members that are in one roster of a kind at a time. Joining and leaving cost the same however
/// many there are; the order depends on what happened only, never on chance.
struct Roster<Member: AnyObject> {
    private(set) var members: [Member] = []
    /// Where a member remembers its place.
    private let place: ReferenceWritableKeyPath<Member, Int?>

    init(_ place: ReferenceWritableKeyPath<Member, Int?>) {
        self.place = place
    }

    var isEmpty: Bool { self.members.isEmpty }
    var count: Int { self.members.count }

    /// False: it was there already.
    @discardableResult
    mutating func add(_ member: Member) -> Bool {
        guard member[keyPath: self.place] == nil else { return false }
        member[keyPath: self.place] = self.members.count
        self.members.append(member)
        return true
    }

    /// The last one takes its place. False: it was not there.
    @discardableResult
    mutating func remove(_ member: Member) -> Bool {
        guard let index = member[keyPath: self.place], self.members[index] === member,
            let last = self.members.popLast()
        else { return false }
        if last !== member {
            self.members[index] = last
            last[keyPath: self.place] = index
        }
        member[keyPath: self.place] = nil
        return true
    }
}
