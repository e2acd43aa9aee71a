/// Finds whose patterns match a key, at a cost that does not grow with the patterns that do not.
///
/// A tree of words: patterns with the same beginning share their nodes. A key is followed through all
/// branches at once, word by word; each node is visited at most once per word, so no pattern can make
/// that take exponential time.
///
///     root ─order─▶ ○ ─created─▶ ● A          A: order.created
///      │            └─ * ─▶ ○ ─eu─▶ ● B       B: order.*.eu
///      └─ # ─▶ ● C                            C: #
package final class PatternIndex<Member: AnyObject> {
    private final class Node {
        /// By the hash of their words; nearly always one each.
        var children: [UInt64: [(word: [UInt8], node: Node)]] = [:]
        var one: Node?
        var any: Node?
        /// Whether it stands for `#`: then every further word leads back to it.
        let isAny: Bool
        /// Whose patterns end here; one that has the pattern twice is here twice.
        var members: [Member] = []
        var visit: UInt64 = 0

        init(isAny: Bool = false) { self.isAny = isAny }

        var isEmpty: Bool {
            self.members.isEmpty && self.children.isEmpty && self.one == nil && self.any == nil
        }
    }

    private let root = Node()
    private var visits: UInt64 = 0
    private var active: [Node] = []
    private var next: [Node] = []
    /// Nodes visited so far: what it cost.
    package private(set) var work = 0

    package init() {}

    package func insert(_ member: Member, _ pattern: KeyPattern) {
        var node = self.root
        for step in pattern.steps { node = Self.child(of: node, step) }
        node.members.append(member)
    }

    /// Removes what one `insert` of the same has put there.
    package func remove(_ member: Member, _ pattern: KeyPattern) {
        var path = [self.root]
        for step in pattern.steps {
            guard let last = path.last, let child = Self.known(last, step) else { return }
            path.append(child)
        }
        guard let node = path.last, let index = node.members.firstIndex(where: { $0 === member })
        else { return }
        node.members.remove(at: index)
        for (step, index) in zip(pattern.steps, path.indices).reversed()
        where path[index + 1].isEmpty {
            Self.cut(path[index], step)
        }
    }

    /// Calls `body` with each member that has a pattern that matches; again for each further one.
    package func match(_ key: UnsafeRawBufferPointer, _ body: (Member) -> Void) {
        KeyWords.split(key) { words in
            self.next.removeAll(keepingCapacity: true)
            self.visits += 1
            self.visit(self.root)
            for index in 0..<words.count {
                swap(&self.active, &self.next)
                self.next.removeAll(keepingCapacity: true)
                self.visits += 1
                self.step(words, index)
                if self.next.isEmpty { return }
            }
            for node in self.next {
                for member in node.members { body(member) }
            }
        }
    }

    private func step(_ words: borrowing KeyWords, _ index: Int) {
        let hash = words.hash(at: index)
        for node in self.active {
            if node.isAny { self.visit(node) }
            if let one = node.one { self.visit(one) }
            for child in node.children[hash] ?? [] where words.word(at: index, is: child.word) {
                self.visit(child.node)
            }
        }
    }

    private func visit(_ node: Node) {
        guard node.visit != self.visits else { return }
        node.visit = self.visits
        self.work += 1
        self.next.append(node)
        // `#` stands for no word, too.
        if let any = node.any { self.visit(any) }
    }

    // MARK: Nodes

    private static func known(_ node: Node, _ step: KeyPattern.Step) -> Node? {
        switch step {
        case .one: node.one
        case .any: node.any
        case .exactly(let word):
            node.children[fingerprint(word)]?.first { $0.word == word }?.node
        }
    }

    private static func child(of node: Node, _ step: KeyPattern.Step) -> Node {
        if let known = self.known(node, step) { return known }
        switch step {
        case .one:
            let made = Node()
            node.one = made
            return made
        case .any:
            let made = Node(isAny: true)
            node.any = made
            return made
        case .exactly(let word):
            let made = Node()
            node.children[fingerprint(word), default: []].append((word, made))
            return made
        }
    }

    private static func cut(_ node: Node, _ step: KeyPattern.Step) {
        switch step {
        case .one: node.one = nil
        case .any: node.any = nil
        case .exactly(let word):
            let hash = fingerprint(word)
            node.children[hash]?.removeAll { $0.word == word }
            if node.children[hash]?.isEmpty == true { node.children[hash] = nil }
        }
    }
}
