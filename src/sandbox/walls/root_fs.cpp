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
constexpr const char* kLibraries[] = {"usr/lib", "usr/lib64", "usr/lib32", "lib", "lib64", "lib32"};

void bind_libraries() {
  for (const char* name : kLibraries) {
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
  bind_mount(python.stdlib, home / "lib" / python.name);
  if (!python.dynload.empty()) bind_mount(python.dynload, home / "dynload");
}

// With its links followed, and readable for all.
void copy_in(const fs::path& source, const fs::path& target) {
  fs::copy_file(source, target, fs::copy_options::skip_existing);
  fs::permissions(target, fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read,
                  fs::perm_options::add);
}

// Where the loader looks by itself (man 8 ld.so); it has no cache inside. The loader is named by
// its path.
bool is_standard(const fs::path& library) {
  const auto folder = fs::canonical(library.parent_path());
  const auto base =
      folder.filename().string().ends_with("-linux-gnu") ? folder.parent_path() : folder;
  return library.filename().string().starts_with("ld-") || base == "/usr/lib" ||
         base == "/usr/lib64" || base == "/lib" || base == "/lib64";
}

// An interpreter of conda, pyenv, uv or a cluster's module brings libraries of its own.
void copy_own_libraries(const Python& python) {
  const auto target = kSite / fs::path(kInsideLibraries).relative_path();
  for (const fs::path library : python.loaded) {
    if (is_standard(library)) continue;
    fs::create_directories(target);
    copy_in(library, target / library.filename());
  }
}

// The folders of shared libraries as the host has them, but only with those that are needed.
void copy_libraries(const Python& python) {
  for (const char* name : kLibraries) {
    const fs::path source = fs::path("/") / name;
    std::error_code missing;
    if (fs::is_symlink(source, missing)) {
      fs::create_symlink(fs::read_symlink(source), kSite / name);
    } else if (fs::is_directory(source, missing)) {
      fs::create_directories(kSite / name);
    }
  }
  for (const fs::path library : python.loaded) {
    if (!is_standard(library)) continue;
    const auto target = kSite / fs::canonical(library.parent_path()).relative_path();
    fs::create_directories(target);
    copy_in(library, target / library.filename());
  }
}

bool is_left_outside(const fs::path& entry) {
  const auto name = entry.filename().string();
  for (const char* folder :
       {"site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip"}) {
    if (name == folder) return true;
  }
  return name.starts_with("config-") || name.ends_with(".opt-1.pyc") ||
         name.ends_with(".opt-2.pyc");
}

void copy_folder(const fs::path& source, const fs::path& target) {
  fs::create_directories(target);
  for (fs::recursive_directory_iterator entry(source), end; entry != end; ++entry) {
    const auto place = target / entry->path().lexically_relative(source);
    if (is_left_outside(entry->path())) {
      entry.disable_recursion_pending();
    } else if (entry->is_directory()) {
      fs::create_directory(place);
    } else if (entry->is_regular_file()) {  // a link that leads nowhere is none
      copy_in(entry->path(), place);
    }
  }
}

void copy_python(const Python& python) {
  const fs::path home = kSite / "python";
  fs::create_directories(home / "bin");
  copy_in(python.executable, home / "bin" / python.name);
  copy_folder(python.stdlib, home / "lib" / python.name);
  if (!python.dynload.empty()) copy_folder(python.dynload, home / "dynload");
}

}  // namespace

void enter_root(const RootOptions& options) {
  checked(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "private mounts");
  // In large pages, where the kernel has them, a fork touches fewer.
  const std::string tree = "size=1g,nr_inodes=64k,mode=0755";
  const auto mount_tree = [](const std::string& with) {
    return ::mount("root", kSite.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, with.c_str());
  };
  if (mount_tree(tree + ",huge=within_size") != 0) checked(mount_tree(tree), "mount of a tmpfs");
  if (options.copies) {
    copy_libraries(options.python);
    copy_python(options.python);
  } else {
    bind_libraries();
    bind_python(options.python);
  }
  copy_own_libraries(options.python);
  fs::create_symlink(options.python.name, kSite / "python/bin/python");
  for (const char* name : {"null", "zero", "full", "random", "urandom"}) {
    // Read-only, they can still be written to; their times and rights, which all share, cannot.
    bind_mount(fs::path("/dev") / name, kSite / "dev" / name, MS_NOSUID | MS_NOEXEC | MS_RDONLY);
  }
  if (fs::exists("/usr/bin/true")) {
    fs::create_directories(kSite / "usr/bin");
    copy_in("/usr/bin/true", kSite / "usr/bin/true");
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
