extension RandomAccessCollection {
    /// In elements of which the first ones fail the test and all others pass it: where those begin that pass.
    func partitioningIndex(where passes: (Element) -> Bool) -> Index {
        var start = self.startIndex
        var count = self.count
        while count > 0 {
            let half = count / 2
            let middle = self.index(start, offsetBy: half)
            if passes(self[middle]) {
                count = half
            } else {
                start = self.index(after: middle)
                count -= half + 1
            }
        }
        return start
    }
}
