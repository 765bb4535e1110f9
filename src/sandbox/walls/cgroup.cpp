#include "walls/cgroup.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

namespace preimage::sandbox {
namespace {

namespace fs = std::filesystem;

struct Hierarchies {
  fs::path unified, memory, pids, cpu;  // our own group in each; empty where there is none
};

// Joins the mount point of a hierarchy and our own group in it (man 7 cgroups). In a container the
// mount may show a subtree only; then the group's name counts from there.
fs::path own_group(const fs::path& mount, const std::string& group) {
  const fs::path whole = mount / group.substr(1);
  return fs::is_directory(whole) ? whole : mount;
}

Hierarchies find() {
  std::map<std::string, std::string> groups;  // by controller; "" is version 2
  std::ifstream own("/proc/self/cgroup");
  for (std::string line; std::getline(own, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream controllers(line.substr(first + 1, second - first - 1));
    const auto group = line.substr(second + 1);
    if (first + 1 == second) groups[""] = group;
    for (std::string name; std::getline(controllers, name, ',');) groups[name] = group;
  }
  Hierarchies found;
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string device, mount, type, options;
    words >> device >> mount >> type >> options;
    options = "," + options + ",";
    if (type == "cgroup2" && groups.contains("")) found.unified = own_group(mount, groups[""]);
    if (type != "cgroup") continue;
    for (auto [name, path] : {std::pair{"memory", &found.memory}, std::pair{"pids", &found.pids},
                              std::pair{"cpuacct", &found.cpu}}) {
      if (options.find(std::string(",") + name + ",") != std::string::npos && groups.contains(name))
        *path = own_group(mount, groups[name]);
    }
  }
  return found;
}

bool put(const fs::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text << std::flush;
  return static_cast<bool>(out);
}

bool holds(const fs::path& file, const std::string& word) {
  std::ifstream in(file);
  for (std::string found; in >> found;) {
    if (found == word) return true;
  }
  return false;
}

// A subgroup, or an empty path where it may not be made.
fs::path subgroup(const fs::path& parent, const std::string& name) {
  std::error_code failed;
  const fs::path folder = parent / name;
  if (parent.empty()) return {};
  fs::create_directory(folder, failed);
  return failed ? fs::path() : folder;
}

// A subgroup with its limit set, or an empty path.
fs::path limited_subgroup(const fs::path& parent, const std::string& name, const std::string& file,
                          const std::string& limit) {
  const auto folder = subgroup(parent, name);
  if (folder.empty() || put(folder / file, limit)) return folder;
  std::error_code failed;
  fs::remove(folder, failed);
  return {};
}

}  // namespace

Cgroup::Cgroup(fs::path memory, fs::path pids, fs::path cpu)
    : memory_(std::move(memory)), pids_(std::move(pids)), cpu_(std::move(cpu)) {
  // Of version 2 in every group, whatever its controllers.
  const auto file = cpu_.empty() ? memory_ / "cpu.stat" : cpu_ / "cpuacct.usage";
  cpu_file_ = Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
}

std::unique_ptr<Cgroup> Cgroup::make(const std::string& name, int64_t memory_bytes,
                                     int64_t processes) {
  const auto found = find();
  const auto memory = std::to_string(memory_bytes), count = std::to_string(processes);
  // A group of version 2 that holds processes, as our own does, may not limit groups inside it;
  // then the slots' groups lie beside it, where that is allowed.
  for (const auto& parent : {found.unified, found.unified.parent_path()}) {
    if (parent.empty() || !holds(parent / "cgroup.controllers", "memory")) continue;
    // One by one: all would be refused where one of them is.
    for (const char* controller : {"+memory", "+pids"})
      put(parent / "cgroup.subtree_control", controller);
    const auto folder = limited_subgroup(parent, name, "memory.max", memory);
    if (folder.empty()) continue;
    put(folder / "memory.swap.max", "0");
    put(folder / "pids.max", count);
    return std::unique_ptr<Cgroup>(new Cgroup(folder, {}, {}));
  }
  if (found.memory.empty()) return nullptr;
  const auto folder = limited_subgroup(found.memory, name, "memory.limit_in_bytes", memory);
  if (folder.empty()) return nullptr;
  return std::unique_ptr<Cgroup>(new Cgroup(
      folder, limited_subgroup(found.pids, name, "pids.max", count), subgroup(found.cpu, name)));
}

Cgroup::Kind Cgroup::kind() {
  const auto group = make("preimage-probe-" + std::to_string(::getpid()), 1 << 30, 64);
  if (!group) return {"none", false};
  return {fs::exists(group->memory_ / "memory.max") ? "v2" : "v1", group->cpu_s().has_value()};
}

Cgroup::~Cgroup() {
  for (const auto& folder : {memory_, pids_, cpu_}) {
    // The last process may still be on its way out.
    for (int i = 0; i < 50 && !folder.empty() && ::rmdir(folder.c_str()) != 0; ++i) ::usleep(2000);
  }
}

void Cgroup::add(pid_t process) const {
  for (const auto& folder : {memory_, pids_, cpu_}) {
    if (!folder.empty()) put(folder / "cgroup.procs", std::to_string(process));
  }
}

std::optional<double> Cgroup::cpu_s() const {
  char text[512];
  const ssize_t got = cpu_file_ ? ::pread(cpu_file_.get(), text, sizeof text - 1, 0) : -1;
  if (got <= 0) return std::nullopt;
  text[got] = '\0';
  if (!cpu_.empty()) return 1e-9 * std::strtod(text, nullptr);
  constexpr std::string_view kUsage = "usage_usec ";
  const auto at = std::string_view(text).find(kUsage);
  if (at == std::string_view::npos) return std::nullopt;
  return 1e-6 * std::strtod(text + at + kUsage.size(), nullptr);
}

int64_t Cgroup::oom_kills() const {
  for (const char* file : {"memory.events", "memory.oom_control"}) {
    std::ifstream in(memory_ / file);
    std::string name;
    for (int64_t value = 0; in >> name >> value;) {
      if (name == "oom_kill") return value;
    }
  }
  return 0;
}

}  // namespace preimage::sandbox
