#include "rows.hpp"

namespace preimage::lipo {

store::Schemas lipo_schemas() {
  store::Schemas out;
  out.tables = {
      {table::instructions, "the pool", store::schema_columns<InstructionRow>()},
      {table::evaluations, "answers of an instruction to a block of items",
       store::schema_columns<EvaluationRow>()},
      {table::hyperband, "a candidate at a stage of a bracket",
       store::schema_columns<HyperbandRow>()},
      {table::vae, "epochs of the autoencoder", store::schema_columns<VaeRow>()},
      {table::vae_quality, "the autoencoder as it is used", store::schema_columns<VaeQualityRow>()},
      {table::gp, "fits of Gaussian processes", store::schema_columns<GpRow>()},
      {table::iterations, "proposals of the arms", store::schema_columns<IterationRow>()},
      {table::asked, "instructions that the arms asked", store::schema_columns<AskedRow>()},
      {table::acquisition, "starts of the acquisition's optimisation",
       store::schema_columns<AcquisitionRow>()},
      {table::arms, "the arms at their end, on untouched items", store::schema_columns<ArmRow>()},
      {table::comparisons, "the arms beside their controls, paired by repetition",
       store::schema_columns<ComparisonRow>()},
      {table::finalists, "instructions on untouched items", store::schema_columns<FinalistRow>()},
  };
  const auto tensor = [&](const char* name, const char* what, std::vector<std::string> axes,
                          store::Type type) {
    out.tensors.push_back({name, what, "", std::move(axes), type});
  };
  tensor(table::embeddings, "of the pool, by id", {"instruction", "d"}, store::Type::f32);
  tensor(table::latents, "mu of the pool, by id", {"instruction", "latent"}, store::Type::f64);
  tensor(table::vae_parameters, "of the autoencoder, encoder first", {"fit", "parameter"},
         store::Type::f32);
  tensor(table::gp_inputs, "latents of a fit, not normalised; rows as in lipo/gp",
         {"fit", "observation", "latent"}, store::Type::f64);
  tensor(table::gp_targets, "-error of a fit's observations (plan_sign: error); rows as in lipo/gp",
         {"fit", "observation"}, store::Type::f64);
  tensor(table::gp_noise, "variance of each observation's noise, in squared units of the targets",
         {"fit", "observation"}, store::Type::f64);
  tensor(table::gp_parameters, "raw parameters of a fit: adapter, lengthscales, outputscale, noise",
         {"fit", "parameter"}, store::Type::f64);
  tensor(table::proposals, "z_opt of a round, not normalised; rows as in lipo/iterations",
         {"round", "latent"}, store::Type::f64);
  tensor(table::proposal_latents, "what the process is given for the round's text",
         {"round", "latent"}, store::Type::f64);
  tensor(table::proposal_embeddings, "of the round's text", {"round", "d"}, store::Type::f32);
  return out;
}

}  // namespace preimage::lipo
