"""Analysis of fitted models: how good one is, where it fails, and what to believe of it."""

from __future__ import annotations

from gcp.analysis.anomalies import Anomalies, anomalies
from gcp.analysis.binary import BinaryScores, binary_scores
from gcp.analysis.bootstrap import Bootstrap, bootstrap
from gcp.analysis.calibration import Calibration, calibration
from gcp.analysis.compare import Degeneracy, Match, align, congruence, degeneracies, factor_match_score
from gcp.analysis.core_consistency import core_consistency, core_tensor
from gcp.analysis.coupled_errors import CoupledErrors
from gcp.analysis.deviance import Deviance, SliceDeviance, deviance, slice_deviance
from gcp.analysis.dispersion import DispersionTest, dispersion_test
from gcp.analysis.likelihood import InformationCriteria, information_criteria, log_likelihood
from gcp.analysis.outliers import Outliers, outliers
from gcp.analysis.prediction import PredictionScores, prediction_scores
from gcp.analysis.proper_scores import ProperScores, proper_scores
from gcp.analysis.ranking import RankingScores, ranking_scores
from gcp.analysis.residuals import residuals
from gcp.analysis.shares import ComponentShares, component_shares
from gcp.analysis.stability import SplitHalf, StartStability, split_half, start_stability
from gcp.analysis.standard_error_table import StandardErrors
from gcp.analysis.suggest import LossSuggestions, Suggestion, suggest_loss
from gcp.analysis.uncertainty import standard_errors
from gcp.objectives.dimension import n_parameters

__all__ = [
    "Anomalies",
    "BinaryScores",
    "Bootstrap",
    "Calibration",
    "ComponentShares",
    "CoupledErrors",
    "Degeneracy",
    "Deviance",
    "DispersionTest",
    "InformationCriteria",
    "LossSuggestions",
    "Match",
    "Outliers",
    "PredictionScores",
    "ProperScores",
    "RankingScores",
    "SliceDeviance",
    "SplitHalf",
    "StandardErrors",
    "StartStability",
    "Suggestion",
    "align",
    "anomalies",
    "binary_scores",
    "bootstrap",
    "calibration",
    "component_shares",
    "congruence",
    "core_consistency",
    "core_tensor",
    "degeneracies",
    "deviance",
    "dispersion_test",
    "factor_match_score",
    "information_criteria",
    "log_likelihood",
    "n_parameters",
    "outliers",
    "prediction_scores",
    "proper_scores",
    "ranking_scores",
    "residuals",
    "slice_deviance",
    "split_half",
    "standard_errors",
    "start_stability",
    "suggest_loss",
]
