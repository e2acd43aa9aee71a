import CLibUV

/// An object with a libuv handle. The handle's `data` points to it and keeps it alive until the
/// handle is closed, so that a callback always finds its object.
protocol LoopHandle: AnyObject {
    var loop: EventLoop { get }
    /// The whole loop ends: begin to close.
    func loopCloses()
    /// No callback comes any more; the handle is freed after this.
    func handleClosed()
}

extension LoopHandle {
    /// Ties an initialised handle to this object.
    func adopt<Handle>(_ handle: UnsafeMutablePointer<Handle>) {
        self.loop.handleOpened()
        uv_handle_set_data(asHandle(handle), Unmanaged<AnyObject>.passRetained(self).toOpaque())
    }

    /// Closes a handle that was adopted; libuv calls back at the end of the turn.
    func closeAdopted<Handle>(_ handle: UnsafeMutablePointer<Handle>) {
        uv_close(asHandle(handle)) { handle in
            // On the loop's thread.
            guard let handle else { return }
            if let data = uv_handle_get_data(handle) {
                let owner = Unmanaged<AnyObject>.fromOpaque(data).takeRetainedValue()
                if let owner = owner as? any LoopHandle {
                    owner.handleClosed()
                    owner.loop.handleFreed()
                }
            }
            UnsafeMutableRawPointer(handle).deallocate()
        }
    }
}

/// Closes a handle that has no object.
func freeWhenClosed<Handle>(_ handle: UnsafeMutablePointer<Handle>) {
    uv_close(asHandle(handle)) { handle in
        UnsafeMutableRawPointer(handle)?.deallocate()
    }
}

/// Every handle of libuv begins with the fields of uv_handle_t. Source: libuv, "uv_handle_t".
private func asHandle<Handle>(_ handle: UnsafeMutablePointer<Handle>)
    -> UnsafeMutablePointer<uv_handle_t>
{
    UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
}

/// The object that `adopt` put into a handle's `data`.
func adopted<Owner: LoopHandle>(_ type: Owner.Type, _ data: UnsafeMutableRawPointer?) -> Owner? {
    data.map { Unmanaged<Owner>.fromOpaque($0).takeUnretainedValue() }
}

func eventLoop(of loop: UnsafeMutablePointer<uv_loop_t>??) -> EventLoop? {
    guard let data = loop??.pointee.data else { return nil }
    return Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue()
}

/// What libuv says about a negative result, such as "address already in use".
func describe(_ code: Int32) -> String {
    uv_strerror(code).map { String(cString: $0) } ?? "error \(code)"
}
