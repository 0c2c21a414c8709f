use super::*;
use crate::options::Options;
use std::os::unix::net as std_net;
use std::sync::atomic::{AtomicUsize, Ordering};

fn options() -> TransportOptions {
    Options::default().transport
}

/// A directory of its own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("peermq-ipc-{}-{count}", process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn listen(&self) -> io::Result<Listener> {
        listen(&IpcPath::File(self.path()), &options())
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn error<T>(result: io::Result<T>) -> (ErrorKind, String) {
    let error = result.map(|_| ()).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn threat_33_only_the_owner_may_connect() {
    let directory = Directory::new();

    let _listener = directory.listen().unwrap();

    let found = fs::metadata(directory.path()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_file_goes_with_its_listener() {
    let directory = Directory::new();

    drop(directory.listen().unwrap());

    assert_eq!(directory.files(), 0);
}

#[test]
fn threat_33_a_fresh_path_is_in_a_directory_for_the_owner_only_and_goes_with_its_listener() {
    let (one, other) = (
        listen(&IpcPath::Fresh, &options()).unwrap(),
        listen(&IpcPath::Fresh, &options()).unwrap(),
    );
    assert_ne!(one.at, other.at);
    let IpcPath::File(path) = one.at.clone() else {
        panic!("{:?}", one.at)
    };
    let directory = path.parent().unwrap();

    assert!(connect(&one.at, &options()).is_ok());
    let found = fs::metadata(directory).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    drop(one);

    assert!(!directory.exists());
    assert!(connect(&other.at, &options()).is_ok());
}

#[test]
fn the_file_goes_when_its_permissions_were_changed() {
    let directory = Directory::new();
    let listener = directory.listen().unwrap();

    fs::set_permissions(directory.path(), Permissions::from_mode(0o660)).unwrap();
    drop(listener);

    assert_eq!(directory.files(), 0);
}

#[test]
fn what_took_the_place_of_the_file_stays() {
    let directory = Directory::new();
    let listener = directory.listen().unwrap();
    fs::remove_file(directory.path()).unwrap();
    let _other = std_net::UnixListener::bind(directory.path()).unwrap();

    drop(listener);

    assert!(std_net::UnixStream::connect(directory.path()).is_ok());
}

#[test]
fn threat_33_the_socket_of_a_dead_listener_is_replaced() {
    let directory = Directory::new();
    drop(std_net::UnixListener::bind(directory.path()).unwrap());
    assert_eq!(directory.files(), 1);

    let _listener = directory.listen().unwrap();

    assert!(std_net::UnixStream::connect(directory.path()).is_ok());
}

#[test]
fn threat_33_a_listener_that_is_alive_is_left_alone() {
    let directory = Directory::new();
    let _listener = directory.listen().unwrap();

    let second = directory.listen();

    assert_eq!(
        error(second),
        (ErrorKind::AddrInUse, "somebody listens there".to_owned())
    );
    assert!(std_net::UnixStream::connect(directory.path()).is_ok());
}

#[test]
fn a_listener_with_a_full_queue_is_alive() {
    let directory = Directory::new();
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(directory.path()).unwrap()).unwrap();
    socket.listen(0).unwrap();
    let _waiting = std_net::UnixStream::connect(directory.path()).unwrap();

    let connection = connect(&IpcPath::File(directory.path()), &options());
    let listener = directory.listen();

    let busy = "too many connections wait to be accepted".to_owned();
    assert_eq!(error(connection), (ErrorKind::ResourceBusy, busy));
    assert_eq!(
        error(listener),
        (ErrorKind::AddrInUse, "somebody listens there".to_owned())
    );
}

#[test]
fn a_listener_between_bind_and_listen_is_left_alone() {
    let directory = Directory::new();
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(directory.path()).unwrap()).unwrap();

    let removed = remove_stale(&directory.path(), || socket.listen(1).unwrap());

    assert_eq!(error(removed).0, ErrorKind::AddrInUse);
    assert!(std_net::UnixStream::connect(directory.path()).is_ok());
}

#[test]
fn a_file_that_another_put_there_meanwhile_is_left_alone() {
    let directory = Directory::new();
    drop(std_net::UnixListener::bind(directory.path()).unwrap());

    let removed = remove_stale(&directory.path(), || {
        // Made before the first one goes, so that it cannot have its inode's number.
        let other = directory.0.join("other");
        drop(std_net::UnixListener::bind(&other).unwrap());
        fs::rename(other, directory.path()).unwrap();
    });

    assert!(removed.is_ok());
    assert_eq!(directory.files(), 1);
}

#[test]
fn threat_33_what_is_not_a_socket_is_left_alone() {
    for make in [
        |path: &Path| fs::write(path, "precious").unwrap(),
        |path: &Path| fs::create_dir(path).unwrap(),
        |path: &Path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
    ] {
        let directory = Directory::new();
        make(&directory.path());
        let before = fs::symlink_metadata(directory.path()).unwrap();

        let listener = directory.listen();

        assert_eq!(
            error(listener),
            (ErrorKind::AlreadyExists, "what stands there is not a socket".to_owned())
        );
        assert!(is_same(&before, &fs::symlink_metadata(directory.path()).unwrap()));
    }
}

#[test]
fn a_socket_of_another_kind_is_left_alone() {
    let directory = Directory::new();
    let _other = std_net::UnixDatagram::bind(directory.path()).unwrap();

    let (_, why) = error(directory.listen());

    assert!(
        why.starts_with("whether somebody listens there cannot be told: "),
        "{why}"
    );
    assert_eq!(directory.files(), 1);
}

#[test]
fn a_failure_leaves_no_file() {
    let directory = Directory::new();
    let no_directory = directory.0.join("none").join("socket");

    let listener = listen(&IpcPath::File(no_directory), &options());

    assert_eq!(error(listener).0, ErrorKind::NotFound);
    assert_eq!(directory.files(), 0);
}

#[test]
fn nobody_there_is_an_error_at_once() {
    let directory = Directory::new();
    let path = IpcPath::File(directory.path());
    assert_eq!(error(connect(&path, &options())).0, ErrorKind::NotFound);
    drop(std_net::UnixListener::bind(directory.path()).unwrap());
    assert_eq!(error(connect(&path, &options())).0, ErrorKind::ConnectionRefused);
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_is_taken_once_and_free_again() {
    let name = IpcPath::Abstract(format!("peermq-{}-taken", process::id()).into_bytes());
    let listener = listen(&name, &options()).unwrap();
    assert_eq!(listener.text, format!("ipc://@peermq-{}-taken", process::id()));

    assert_eq!(error(listen(&name, &options())).0, ErrorKind::AddrInUse);
    drop(listener);
    assert!(listen(&name, &options()).is_ok());
}

/// A process outside of ours' namespace has the number 0: unix(7) and pid_namespaces(7).
#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn what_is_no_number_of_a_process_is_not_taken_for_one() {
    assert_eq!([0, -1, i32::MIN].map(process), [None; 3]);
    assert_eq!([1, i32::MAX].map(process), [1, 0x7FFF_FFFF].map(NonZeroU32::new));
}

#[test]
fn buffers_are_as_asked() {
    let directory = Directory::new();
    let listener = directory.listen().unwrap();
    let mut options = options();
    options.send_buffer = Some(50_000);

    let dialed = connect(&IpcPath::File(directory.path()), &options).unwrap();
    let accepted = accept(&listener, &options).unwrap();

    // Linux doubles what is asked for.
    assert!(SockRef::from(&dialed).send_buffer_size().unwrap() < 150_000);
    assert!(SockRef::from(&accepted).send_buffer_size().unwrap() < 150_000);
}
