// A method's fields of a job file that comes with preimage.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "preimage/base/config.hpp"
#include "preimage/base/json.hpp"

namespace preimage::tests {

// Expects that the file is a job of `method` and that every field of it is known and fits.
template <class Config>
Config config_of_job(const std::filesystem::path& path, const std::string& method) {
  auto job = base::read_json(path);
  EXPECT_EQ(job.value("method", ""), method) << path;
  EXPECT_TRUE(job.contains("run")) << path;
  Config config;
  auto fields = base::fields_of(config);
  EXPECT_THAT(base::read_fields(fields, job[method], path.string()), testing::IsEmpty()) << path;
  return config;
}

}  // namespace preimage::tests
