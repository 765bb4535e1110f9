#include "walls/root_fs.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "preimage/base/error.hpp"

namespace preimage::sandbox {
namespace {

namespace fs = std::filesystem;

// A folder that exists everywhere and holds nothing that is bound into the tree: the tree is
// mounted over it, in this namespace only.
const fs::path kSite = "/proc";

void checked(int result, const std::string& what) {
  if (result != 0) throw base::unavailable_error("sandbox: " + what + ": " + std::strerror(errno));
}

constexpr unsigned long kLocked = MS_NOSUID | MS_NODEV | MS_RDONLY;

// Files and folders of the host, read-only. A remount must repeat what the file system was mounted
// with, or an unprivileged namespace may not do it.
void bind_mount(const fs::path& source, const fs::path& target, unsigned long flags = kLocked) {
  if (fs::is_directory(source)) {
    fs::create_directories(target);
  } else {
    fs::create_directories(target.parent_path());
    std::ofstream(target).flush();
  }
  checked(::mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr),
          "bind mount of " + source.string());
  checked(::mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | MS_BIND | flags, nullptr),
          "read-only remount of " + source.string());
}

// /lib and its like: links into /usr on a merged system, folders of their own on others.
void bind_libraries() {
  for (const char* name : {"usr/lib", "usr/lib64", "usr/lib32", "lib", "lib64", "lib32"}) {
    const fs::path source = fs::path("/") / name;
    std::error_code missing;
    if (fs::is_symlink(source, missing)) {
      fs::create_symlink(fs::read_symlink(source), kSite / name);
    } else if (fs::is_directory(source, missing)) {
      bind_mount(source, kSite / name);
    }
  }
}

void bind_python(const Python& python) {
  const fs::path home = kSite / "python";
  bind_mount(python.executable, home / "bin" / python.name);
  fs::create_symlink(python.name, home / "bin/python");
  bind_mount(python.stdlib, home / "lib" / python.name);
  if (!python.dynload.empty()) bind_mount(python.dynload, home / "dynload");
  for (size_t i = 0; i < python.libraries.size(); ++i) {
    bind_mount(python.libraries[i], home / ("libraries" + std::to_string(i)));
  }
}

}  // namespace

void enter_root(const RootOptions& options) {
  checked(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "private mounts");
  checked(::mount("root", kSite.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
                  "size=4m,nr_inodes=1024,mode=0755"),
          "mount of a tmpfs");
  bind_libraries();
  bind_python(options.python);
  for (const char* name : {"null", "zero", "full", "random", "urandom"}) {
    // Read-only, they can still be written to; their times and rights, which all share, cannot.
    bind_mount(fs::path("/dev") / name, kSite / "dev" / name, MS_NOSUID | MS_NOEXEC | MS_RDONLY);
  }
  if (fs::exists("/usr/bin/true")) {
    bind_mount("/usr/bin/true", kSite / "usr/bin/true");
    fs::create_symlink("usr/bin", kSite / "bin");
  }
  for (const auto& [name, text] : options.worker) {
    fs::create_directories(kSite / "worker");
    std::ofstream(kSite / "worker" / name, std::ios::binary) << text;
  }
  for (const char* name : {"tmp", "old"}) fs::create_directories(kSite / name);
  checked(::chdir(kSite.c_str()), "chdir");
  checked(static_cast<int>(::syscall(SYS_pivot_root, ".", "old")), "pivot_root");
  checked(::umount2("/old", MNT_DETACH), "unmount of the old root");
  fs::remove("/old");
  checked(::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
                  nullptr),
          "read-only root");
  checked(::chdir("/"), "chdir");
}

}  // namespace preimage::sandbox
