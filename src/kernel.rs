//! What only the kernel can tell or do, and the standard library has no word for: the state of a TCP connection, a
//! quiet socket, the idle class for disks.
//!
//! The one file of the library with `unsafe` in it: see `docs/decisions/0021-kernel.md`. Linux only; elsewhere, and
//! where a kernel is too old, the answer is None or no. Nothing here is durable, nothing blocks.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Bytes of `struct tcp_info` that are looked at; a newer kernel knows more, an older one less.
const TOLD_MAX: usize = 256;

/// What the kernel tells of a TCP connection (`linux/tcp.h`, `struct tcp_info`). None: this kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// Whether each segment carries a timestamp: 12 bytes of header more.
    pub timestamps: bool,
    /// Largest segment that is sent, bytes of payload.
    pub send_mss: Option<u32>,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Shortest round trip of the last minutes.
    pub min_rtt: Option<Duration>,
    /// Bytes of payload the other side confirmed.
    pub bytes_acked: Option<u64>,
    pub bytes_received: Option<u64>,
    /// Segments sent and received, those without payload and those sent again included.
    pub segs_out: Option<u64>,
    pub segs_in: Option<u64>,
    /// Bytes of payload sent, those sent again included.
    pub bytes_sent: Option<u64>,
    pub bytes_retrans: Option<u64>,
    /// Bytes that wait in the socket and were never sent.
    pub notsent: Option<u64>,
    /// Segments sent and not confirmed yet.
    pub unacked: Option<u64>,
    /// What the connection delivered lately, bytes per second.
    pub delivery_rate: Option<u64>,
}

impl TcpInfo {
    /// The kernel's own bytes, as many as it gave.
    fn read(told: &[u8]) -> Self {
        let long = |at: usize| told.get(at..at + 8).map(|b| u64::from_ne_bytes(b.try_into().expect("eight bytes")));
        let word = |at: usize| told.get(at..at + 4).map(|b| u32::from_ne_bytes(b.try_into().expect("four bytes")));
        let count = |at: usize| word(at).map(u64::from);
        let time = |at: usize| count(at).map(Duration::from_micros);
        Self {
            timestamps: told.get(5).is_some_and(|options| options & 1 != 0),
            send_mss: word(16),
            unacked: count(24),
            rtt: time(68),
            bytes_acked: long(120),
            bytes_received: long(128),
            segs_out: count(136),
            segs_in: count(140),
            notsent: count(144),
            // All ones: nothing was measured yet.
            min_rtt: word(148).filter(|us| *us != u32::MAX).map(|us| Duration::from_micros(u64::from(us))),
            delivery_rate: long(160),
            bytes_sent: long(200),
            bytes_retrans: long(208),
        }
    }
}

/// None where it is no TCP socket, or the system does not tell.
pub fn tcp_info(socket: BorrowedFd<'_>) -> Option<TcpInfo> {
    let mut told = [0u8; TOLD_MAX];
    let length = told_by(socket, &mut told)?;
    Some(TcpInfo::read(told.get(..length)?))
}

/// A write takes no more while so many bytes wait unsent in the socket: what was written is really gone soon. Whether
/// the kernel took it.
pub fn keep_unsent_below(socket: BorrowedFd<'_>, bytes: u32) -> bool {
    unsent_below(socket, bytes)
}

/// This thread, and those it starts from now on, read and write the disk only when nobody else does. Whether it took.
pub fn idle_io() -> bool {
    idle_class()
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "getsockopt with TCP_INFO has no safe face")]
fn told_by(socket: BorrowedFd<'_>, told: &mut [u8; TOLD_MAX]) -> Option<usize> {
    let mut length = libc::socklen_t::try_from(told.len()).ok()?;
    // SAFETY: the descriptor is borrowed and open; the kernel writes at most `length` bytes into a buffer of just
    // that length, any bytes of which are valid `u8`s, and puts how many into `length`, which outlives the call.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            told.as_mut_ptr().cast::<libc::c_void>(),
            &raw mut length,
        )
    };
    (answer == 0).then_some(usize::try_from(length).ok()?)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "setsockopt with TCP_NOTSENT_LOWAT has no safe face")]
fn unsent_below(socket: BorrowedFd<'_>, bytes: u32) -> bool {
    let Ok(length) = libc::socklen_t::try_from(size_of::<u32>()) else { return false };
    // SAFETY: the descriptor is borrowed and open; the kernel reads `length` bytes of a `u32` that outlives the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw const bytes).cast::<libc::c_void>(),
            length,
        )
    };
    answer == 0
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "ioprio_set has no safe face")]
fn idle_class() -> bool {
    /// Of `linux/ioprio.h`: this process, here the calling thread; the idle class, above 13 bits of data.
    const WHO_PROCESS: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    // SAFETY: takes three numbers and changes nothing but the calling thread's class.
    let answer = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) };
    answer == 0
}

#[cfg(not(target_os = "linux"))]
fn told_by(_: BorrowedFd<'_>, _: &mut [u8; TOLD_MAX]) -> Option<usize> {
    None
}
#[cfg(not(target_os = "linux"))]
fn unsent_below(_: BorrowedFd<'_>, _: u32) -> bool {
    false
}
#[cfg(not(target_os = "linux"))]
fn idle_class() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn the_kernel_tells_what_went_over_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut from = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut to, _) = listener.accept().unwrap();
        assert!(keep_unsent_below(from.as_fd(), 4096));
        from.write_all(&[7; 5000]).unwrap();
        to.read_exact(&mut [0; 5000]).unwrap();
        let info = tcp_info(from.as_fd()).unwrap();
        assert!(info.rtt.is_some() && info.send_mss.unwrap() > 500, "{info:?}");
        assert!(info.segs_out.unwrap() >= 3 && info.notsent == Some(0), "{info:?}");
        assert_eq!(info.bytes_sent.unwrap_or(5000), 5000, "{info:?}");
    }

    #[test]
    fn an_older_kernel_tells_less_and_another_file_nothing() {
        let told = [1u8; 136];
        let info = TcpInfo::read(&told);
        assert!(info.timestamps && info.rtt.is_some() && info.bytes_received.is_some());
        assert_eq!((info.segs_out, info.notsent, info.min_rtt, info.bytes_sent), (None, None, None, None));
        assert_eq!(TcpInfo::read(&[0xff; 256]).min_rtt, None);
        assert_eq!(tcp_info(std::fs::File::open("/dev/null").unwrap().as_fd()), None);
    }

    #[test]
    fn the_idle_class_is_for_the_thread_that_asks() {
        std::thread::spawn(|| assert!(idle_io())).join().unwrap();
    }
}
